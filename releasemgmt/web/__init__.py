"""Plumbing of HTTP and admin: errors, pagination, idempotency, health; it knows no business word."""
