"""The Markdown of comments as HTML: paragraphs, lists, `code` and **bold**. Everything else is text."""

import html
import re

_CODE = re.compile(r"`([^`]+)`")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
_ITEM = re.compile(r"[*-] ")


def inline(text: str) -> str:
    """Returns one line of Markdown as HTML."""
    parts = _CODE.split(text)
    # Every second part is code.
    return "".join(
        f"<code>{html.escape(part)}</code>" if index % 2 else _BOLD.sub(r"<strong>\1</strong>", html.escape(part))
        for index, part in enumerate(parts)
    )


def blocks(text: str) -> str:
    """Returns Markdown as HTML."""
    made = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines: list[str] = []
        items: list[str] = []
        for line in block.splitlines():
            if _ITEM.match(line):
                items.append(line[2:])
            elif items:
                items[-1] += f" {line.strip()}"
            else:
                lines.append(line.strip())
        if lines:
            made.append(f"<p>{inline(' '.join(lines))}</p>")
        if items:
            made.append(f"<ul>{''.join(f'<li>{inline(item)}</li>' for item in items)}</ul>")
    return "".join(made)
