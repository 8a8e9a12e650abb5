"""Tests of the payload parsers."""
