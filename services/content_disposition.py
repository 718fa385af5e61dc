"""The header Content-Disposition, with file names in any script (RFC 6266)."""

import re
import unicodedata
from urllib.parse import quote

MAX_BYTES = 200
"""Of a name in UTF-8: file systems take 255, and a browser may add a number."""

#: Separators of paths, what Windows does not take, and characters of the categories control, format (which turn the
#: direction of a text and so hide an extension), surrogate and line separator.
_SEPARATORS = re.compile(r'[\\/:*?"<>|]')
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
_JOINERS = "\u200c\u200d"
"""Of the category format too, but Persian, the scripts of India and emoji are written with them."""


def file_name(name: str) -> str:
    """Returns a name that file systems take and that shows as it is; empty when nothing is left of it."""
    shown = "".join(each for each in name if each in _JOINERS or unicodedata.category(each) not in _HIDDEN)
    plain = _SEPARATORS.sub("_", shown).strip(f" .{_JOINERS}")
    if len(plain.encode()) <= MAX_BYTES:
        return plain
    stem, dot, extension = plain.rpartition(".")
    tail = f"{dot}{extension}" if stem and len(extension) <= 8 and extension.isascii() else ""
    head = (stem if tail else plain).encode()[: MAX_BYTES - len(tail)].decode(errors="ignore")
    return f"{head.rstrip(f' .{_JOINERS}')}{tail}"


def content_disposition(download_name: str) -> str:
    """Returns the header's value: `attachment` with a name, or `inline` when no name is given."""
    name = file_name(download_name)
    if not name:
        return "inline"
    # For clients that do not read `filename*`. A percent sign would be read as an escape by some of them.
    fallback = re.sub(r"[^ -~]|%", "_", unicodedata.normalize("NFC", name))
    if fallback == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{quote(name, safe='')}"
