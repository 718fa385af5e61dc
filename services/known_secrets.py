"""The secrets that this process has read, by their text: so that no text for others shows one, in any form.

Redaction by form misses a vendor's key, which can look like any word. A secret shorter than 8 characters would hide
ordinary words, and is not kept here.
"""

import threading
from urllib.parse import quote, unquote, urlsplit

REDACTED = "[redacted]"
LEAST_CHARACTERS = 8
KEPT = 64
"""Secrets that are kept; beyond that, new ones replace the oldest. A secret that was rotated is hidden for a while."""

_lock = threading.Lock()
_known: dict[str, None] = {}
"""The oldest first."""
_longest_first: tuple[str, ...] = ()
"""A secret may be the beginning of another one."""


def remember(secret: str) -> None:
    """Keeps a secret, and of a URL its password too."""
    _keep({secret, *_password(secret)})


def remember_password(url: str) -> None:
    """Keeps the password of a URL, if it has one."""
    _keep(_password(url))


def hidden(text: str) -> str:
    """Returns the text without the secrets that are kept."""
    for each in _longest_first:
        if each in text:
            text = text.replace(each, REDACTED)
    return text


def _keep(secrets: set[str]) -> None:
    global _longest_first
    with _lock:
        for each in secrets:
            if len(each) >= LEAST_CHARACTERS:
                _known.pop(each, None)
                _known[each] = None
        while len(_known) > KEPT:
            _known.pop(next(iter(_known)))
        _longest_first = tuple(sorted(_known, key=len, reverse=True))


def _password(text: str) -> set[str]:
    """Returns the password of a URL in the forms in which it may appear; empty if there is none."""
    try:
        password = urlsplit(text).password
    except ValueError:
        return set()
    return {password, unquote(password), quote(unquote(password), safe="")} if password else set()
