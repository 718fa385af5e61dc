"""The error of a Triton on this machine."""


class TritonServerError(RuntimeError):
    """The server cannot start; the message has the reason and what to do."""
