"""Where an endpoint may be, as far as its URL says it. The sender checks the address that it connects to. Pure."""

import re
from collections.abc import Callable, Collection
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from services.errors import InvalidInput, Violation
from services.reasons import Reason, WebhookReason

CHARACTERS = 2000
NAME = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?\.?")
"""The last label begins with a letter: no other spelling of an IPv4 address is a name."""
LOCAL = ("localhost", "local", "internal", "home.arpa")
"""Names of local networks."""


def demand_url(
    url: str, is_public: Callable[[str], bool], private_hosts: Collection[str] = (), field: str = "url"
) -> None:
    """Raises InvalidInput unless webhooks may be sent to a URL.

    `private_hosts`, each `host` or `host:port`, may be reached over http and need not be public.
    """
    if not 1 <= len(url) <= CHARACTERS:
        raise _malformed(field, f"has {len(url):,} characters; give 1 to {CHARACTERS:,}")
    if not url.isascii() or not url.isprintable() or re.search(r'[\s\\"<>^`{|}]', url):
        raise _malformed(field, "has a character that a URL does not have; encode it with %, and a name in punycode")
    parts, host, port = _split(url, field)
    if "@" in parts.netloc:
        raise _malformed(field, "has a user or a password; requests are signed, so it needs none")
    if "#" in url:
        raise _malformed(field, "has a fragment, which is not sent")
    listed = host in private_hosts or f"{host}:{port}" in private_hosts
    if parts.scheme != "https" and not (listed and parts.scheme == "http"):
        raise _malformed(field, "does not begin with `https://`")
    if not listed:
        _demand_public(host, is_public, field)


def origin(url: str) -> str:
    """Returns scheme, host and port of a URL: what logs and the audit log may have. Paths can be secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _split(url: str, field: str) -> tuple[SplitResult, str, int]:
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise _malformed(field, "is no URL") from None
    if not host or parts.netloc.endswith(":") or port == 0:
        raise _malformed(field, "has no host, or no valid port; it looks like `https://host/path`")
    return parts, host, port or (80 if parts.scheme == "http" else 443)


def _demand_public(host: str, is_public: Callable[[str], bool], field: str) -> None:
    try:
        ip_address(host)
    except ValueError:
        if any(host == name or host.endswith(f".{name}") for name in LOCAL):
            raise _not_public(field) from None
        if not NAME.fullmatch(host):
            raise _malformed(field, "does not have a full host name, such as `hooks.example.com`") from None
        return
    if not is_public(host):
        raise _not_public(field)


def _malformed(field: str, what: str) -> InvalidInput:
    return _refused(field, what, WebhookReason.WEBHOOK_URL_MALFORMED)


def _not_public(field: str) -> InvalidInput:
    what = "is not a host of the internet, and nothing is sent to others"
    return _refused(field, what, WebhookReason.WEBHOOK_URL_NOT_PUBLIC)


def _refused(field: str, what: str, reason: Reason) -> InvalidInput:
    return InvalidInput([Violation(field, what, reason)], reason=reason)
