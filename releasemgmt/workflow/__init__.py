"""The kernel: events, commands, gates and the doorway to django-fsm. It knows no business word."""
