"""The characters that no text may have, because it cannot be stored or sent with them."""


def fault(text: str) -> str:
    """Returns why a text cannot be stored or sent, as the end of a sentence about it; empty if it can."""
    if "\x00" in text:
        return "holds a NUL character; leave it out"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is no character; leave it out"
    return ""


def kept(text: str, most: int) -> str:
    """Returns a foreign text, such as a vendor's message, in a form that can be stored: cleaned and truncated."""
    if fault(text):
        text = text.encode(errors="replace").decode().replace("\x00", "\ufffd")
    return text if len(text) <= most else text[: most - 1] + "…"
