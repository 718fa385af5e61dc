"""CrossOrigin: which pages of other origins may play live URLs by script (CORS).

A live URL has its credential in itself, and no cookie counts here. So a page that has a URL may use it, and one that
has none learns nothing. A request with a key gets no permission.
"""

from collections.abc import Mapping

ANY = "*"


class CrossOrigin:
    """The origins that the settings allow."""

    def __init__(self, origins: str) -> None:
        """`origins` are separated by commas; `*` allows any."""
        self._origins = frozenset(filter(None, (each.strip() for each in origins.split(","))))

    def headers(self, origin: str) -> Mapping[str, str]:
        """Returns what the answer to a request of an origin has; an empty origin is no page's."""
        if ANY in self._origins:
            return {"Access-Control-Allow-Origin": ANY}
        found = {"Vary": "Origin"} if self._origins else {}
        if origin in self._origins:
            found["Access-Control-Allow-Origin"] = origin
        return found

    def preflight(self, origin: str) -> Mapping[str, str]:
        """Returns what the answer to a question of a browser has."""
        allowed = {"Access-Control-Allow-Methods": "GET, HEAD", "Access-Control-Allow-Headers": "Range"}
        return {**self.headers(origin), **allowed, "Access-Control-Max-Age": "86400"}
