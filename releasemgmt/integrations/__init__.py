"""Pure parsers of what other tools send; no ORM."""
