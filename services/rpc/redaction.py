"""Removes what looks like a credential from a text, and the secrets of this process in any form."""

import re

from services.known_secrets import REDACTED, hidden

NAMES = r"""(?:password|passwd|pass[_-]?phrase|secret(?:[_-]?key)?|token|signature|credentials?|cookie
            |(?:api|access|private|operator|vendor|signing)[_-]?key)"""
SECRET_NAMES = re.compile(f"authorization|{NAMES}", re.IGNORECASE | re.VERBOSE)
"""Fields of log lines whose values are never written."""

_FORMS = re.compile(
    rf"""(\bbearer\s+)[^\s"',;)\]}}]+                                # Bearer abc
      | (\bauthorization['"]?\s*[:=,]\s*['"]?)(?:[\w-]+\s+)?[^\s"',;)\]}}]+   # authorization: Key abc
      | (://[^\s:/@]*:)[^\s@/]+(?=@)                                # scheme://user:password@host
      | ((?-i:\bi2v_[0-9a-f]{{4,64}}_))[A-Za-z0-9_-]{{16,}}                 # an API key of ours; its id stays
      | (?<![\w-])(e[yw])[A-Za-z0-9_-]{{8,}}\.[A-Za-z0-9_-]{{4,}}\.[A-Za-z0-9_-]*     # a JWT
      | (?<![\w-])(signed\.)[A-Za-z0-9_-]{{8,}}\.[A-Za-z0-9_-]{{8,}}            # a signed URL
      | (?<![\w-])(live\.)[A-Za-z0-9_-]{{8,}}\.[A-Za-z0-9_-]{{40,}}             # a live URL
      | (?<![\w-])(share\.)[A-Za-z0-9_-]{{20,}}                         # a share
      | (?<![\w-])(i2v[st]_)[A-Za-z0-9_-]{{16,}}                         # a session, or the ticket of one
      | (\bwhsec_)[A-Za-z0-9+/=_-]+                                 # the secret of webhooks
      | (-----BEGIN[ ]?[A-Z ]{{0,30}}PRIVATE[ ]KEY-----)(?:(?:[\r\n]|\\[rn])+[\w+/=-]+(?=[\r\n\\'"]|\Z))*
      | ((?<![\w-])[\w-]*?{NAMES}['"]?\s*[:=]\s*)(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"',;)\]}}&]+)
      | (Failing\ row\ contains\ )[^\n]*                             # PostgreSQL quotes what callers gave
      | (\bKey\ \([^\n]{{0,300}}?\)=)[^\n]*
      | (\bJSON\ data,\ line\ )[^\n]*
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_HINTS = (
    *("bearer", "i2v", "authorization", "://", "pass", "secret", "token", "key", "signature", "credential", "cookie"),
    *("ey", "ew", "signed.", "live.", "share.", "whsec", "failing row", "json data"),
)
"""A text without any of these holds no credential; this check first is faster."""


def redact(text: str) -> str:
    """Returns the text with everything that looks like a credential redacted, and every secret of this process."""
    text = hidden(text)
    lowered = text.lower()
    for hint in _HINTS:
        if hint in lowered:
            return _FORMS.sub(lambda found: next(filter(None, found.groups()), "") + REDACTED, text)
    return text
