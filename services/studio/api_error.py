"""How a call of the API fails, and the credential of a call."""

from services.rpc.status_codes import Failure


class ApiError(Exception):
    """The API refused a call, or did not answer."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.message)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Returns the metadata of a call whose credential is a token."""
    return (("authorization", f"Bearer {token}"),)
