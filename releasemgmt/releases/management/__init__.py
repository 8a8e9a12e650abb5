"""Management commands of releases."""
