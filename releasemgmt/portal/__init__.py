"""Screens for people; it sees every app, and none sees it."""
