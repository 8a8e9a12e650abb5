"""Tests of the screens and of the demo world."""
