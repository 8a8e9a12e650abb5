"""Fan-out of events: who hears of what, by which channel."""
