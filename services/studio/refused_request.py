"""RefusedRequest: a request over HTTP that is refused before the API is asked."""

from collections.abc import Mapping

from services.reasons import Reason


class RefusedRequest(Exception):
    """What is wrong with it, in one sentence for a person."""

    def __init__(
        self,
        message: str,
        *,
        reason: Reason,
        param: str = "",
        status: int = 400,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = message
        self.reason = reason
        self.param = param
        """The field; empty: the request as a whole."""
        self.status = status
        self.headers = headers or {}
        """Of the response, such as `Allow`."""
        super().__init__(message)
