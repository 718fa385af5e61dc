"""Whether a request comes from a page of ours: a browser sends the cookie with any request (CSRF).

`Sec-Fetch-Site`, `Origin` and `Referer` are the browser's own words: no page can choose them.
"""

from urllib.parse import urlsplit

from starlette.requests import Request

from services.reasons import HttpReason
from services.studio.refused_request import RefusedRequest

PAGE = "i2v-page"
"""A header that a form cannot have; with it, a page of another origin must ask first, and is refused."""
READS = ("GET", "HEAD")
OWN = ("same-origin", "none")
"""`none`: the person typed the address, or opened a bookmark."""


def demand_own_page(request: Request, *, secure: bool) -> None:
    """Raises RefusedRequest unless a request may use the cookie. `secure`: our pages have HTTPS alone."""
    if request.method in READS:
        if not _reads(request, secure=secure):
            raise _refused("It was not made by a page of this service.")
        return
    demand_own_form(request, secure=secure)
    if request.headers.getlist(PAGE) != ["1"]:
        raise _refused("The header I2V-Page: 1 is missing.")


def demand_own_form(request: Request, *, secure: bool) -> None:
    """Raises RefusedRequest unless a form or a script of a page of ours has sent a request."""
    if request.headers.getlist("sec-fetch-site") not in ([], ["same-origin"]):
        raise _refused("It was not made by a page of this service.")
    origins = request.headers.getlist("origin")
    if len(origins) != 1 or not _is_own(origins[0], request, secure=secure):
        raise _refused("Its Origin is not the address of this page.")


def _reads(request: Request, *, secure: bool) -> bool:
    if sites := request.headers.getlist("sec-fetch-site"):
        return len(sites) == 1 and sites[0] in OWN
    # An old browser, or one that came by HTTP to another host than its own: it names the page in another way.
    referers = request.headers.getlist("referer")
    return len(referers) == 1 and _is_own(referers[0], request, secure=secure)


def _is_own(address: str, request: Request, *, secure: bool) -> bool:
    """Returns whether an address is on the host that the browser has asked. Of `null` there is no host."""
    hosts = request.headers.getlist("host")
    try:
        found = urlsplit(address)
    except ValueError:
        return False
    schemes = ("https",) if secure else ("http", "https")
    return len(hosts) == 1 and bool(found.netloc) and found.netloc == hosts[0] and found.scheme in schemes


def _refused(why: str) -> RefusedRequest:
    sentence = f"A session's cookie does not count for this request. {why}"
    return RefusedRequest(sentence, reason=HttpReason.CROSS_SITE, status=403)
