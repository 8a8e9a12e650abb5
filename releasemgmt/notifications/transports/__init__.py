"""How a delivery leaves the service: one module a channel."""


class Rejected(Exception):
    """This one message was refused; the channel itself works."""
