"""How tasks are done that nobody does by hand, one kind a file."""
