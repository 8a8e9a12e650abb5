"""The REST face of releases: translate, call one command, render."""
