"""The error of a server whose address cannot be had. Alone, so that a process without gRPC does not load it."""


class CannotListenError(Exception):
    """The address cannot be listened on."""
