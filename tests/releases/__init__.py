"""Tests of releases, builds, commits, test runs and known defects."""
