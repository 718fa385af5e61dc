"""Entity tags: what a client has already, and whether it is the same (RFC 9110, sections 8.8.3 and 13)."""

import re

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def is_known(if_none_match: str, tag: str) -> bool:
    """Returns whether a header `If-None-Match` names a tag, given with its quotes."""
    return if_none_match.strip() == "*" or tag in _TAG.findall(if_none_match)


def range_holds(if_range: str, tag: str) -> bool:
    """Returns whether a range may be sent: there is no header `If-Range`, or it is the tag. We send no dates."""
    return if_range.strip() in ("", tag)
