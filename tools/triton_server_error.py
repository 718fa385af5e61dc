"""The error of a Triton on this machine."""


class TritonServerError(RuntimeError):
    """The server cannot start; the message says why, and what to do."""
