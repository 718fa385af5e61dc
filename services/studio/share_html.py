"""The pages of shares as HTML. Every text from elsewhere is escaped, and cannot turn the direction of the rest."""

import html
import unicodedata

from i2v.v1 import shared_pb2

from services.studio.share_style import STYLE

JOINERS = "\u200c\u200d"
"""Format characters of ordinary words and emoji."""
HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
UNTITLED = "Untitled"


def plain(text: str) -> str:
    """Returns a text without characters that control, hide or turn what is around it."""
    shown = (each if unicodedata.category(each) not in HIDDEN or each in JOINERS else " " for each in text)
    return " ".join("".join(shown).split())


def not_found() -> str:
    """Returns the page for a link that shows nothing: the same for every cause."""
    text = "This link shows nothing. It may have expired, or been ended, or was not copied completely."
    return _page("Nothing here", f"<h1>Nothing here</h1><p>{text}</p>")


def away() -> str:
    """Returns the page for a service that is busy or away."""
    return _page("Try again", "<h1>Try again</h1><p>The service is busy or away. Try again in a moment.</p>")


def pass_phrase(action: str, wrong: str = "") -> str:
    """Returns the form for the pass phrase. `action` is where it is sent, from this page."""
    message = f'<p class="wrong" role="alert">{html.escape(wrong)}</p>' if wrong else ""
    form = (
        f'<form method="post" action="{html.escape(action)}"><p><label>Pass phrase<br>'
        '<input type="password" name="pass_phrase" maxlength="200" required autofocus autocomplete="off"></label></p>'
        '<p><button class="button">Open</button></p></form>'
    )
    return _page("Pass phrase", f"<h1>This link has a pass phrase</h1>{message}{form}")


def asset(token: str, shown: shared_pb2.SharedAsset, *, back: bool = False) -> str:
    """Returns the page of one asset; `back`: with a link to the collection that it is in."""
    title, file = plain(shown.title) or UNTITLED, _file(token, shown)
    save = f'<p><a class="button" href="{file}?save">Download</a> <span class="quiet">{_facts(shown)}</span></p>'
    first = f'<nav><a href="{html.escape(token)}">All</a></nav>' if back else ""
    return _page(title, f"{first}<h1><bdi>{html.escape(title)}</bdi></h1>{_player(file, shown)}{save}")


def collection(token: str, shown: shared_pb2.Shared, *, first: bool) -> str:
    """Returns a page of a collection; `first`: it is the first one."""
    title, count = plain(shown.title) or UNTITLED, shown.asset_count
    tiles = "".join(f"<li>{_tile(token, each)}</li>" for each in shown.assets)
    links = "" if first else f'<a class="button" href="{html.escape(token)}">First page</a>'
    if shown.next_page_token:
        links += f'<a class="button" href="?page={html.escape(shown.next_page_token)}">Next page</a>'
    what = f'<p class="quiet">{count} {"file" if count == 1 else "files"}</p>'
    body = f'<ul class="grid">{tiles}</ul>' if tiles else ""
    return _page(title, f"<h1><bdi>{html.escape(title)}</bdi></h1>{what}{body}<nav>{links}</nav>")


def _player(file: str, shown: shared_pb2.SharedAsset) -> str:
    kind = shown.media_type.partition("/")[0]
    if kind == "video":
        return f'<video controls playsinline preload="metadata" poster="{file}/poster" src="{file}"></video>'
    if kind == "audio":
        picture = f'<img class="whole" src="{file}/waveform" alt="">'
        return f'{picture}<audio controls preload="metadata" src="{file}"></audio>'
    return f'<img class="whole" src="{file}" alt="{html.escape(plain(shown.title))}">'


def _tile(token: str, shown: shared_pb2.SharedAsset) -> str:
    variant = "waveform" if shown.media_type.startswith("audio/") else "thumbnail-256"
    title = html.escape(plain(shown.title) or UNTITLED)
    picture = f'<img loading="lazy" src="{_file(token, shown)}/{variant}" alt="">'
    return f'<a href="?asset={_digest(shown)}">{picture}<span><bdi>{title}</bdi></span></a>'


def _file(token: str, shown: shared_pb2.SharedAsset) -> str:
    """Returns the address of a file, from the page of the share: so a prefix of a proxy does no harm."""
    return html.escape(f"{token}/{_digest(shown)}")


def _digest(shown: shared_pb2.SharedAsset) -> str:
    return html.escape(shown.name.removeprefix("assets/"))


def _facts(shown: shared_pb2.SharedAsset) -> str:
    found = [shown.media_type, _size(shown.size_bytes)]
    if shown.HasField("size"):
        found.append(f"{shown.size.width} × {shown.size.height}")
    if shown.HasField("duration"):
        minutes, seconds = divmod(round(shown.duration.ToMilliseconds() / 1000), 60)
        found.append(f"{minutes}:{seconds:02}")
    return html.escape(", ".join(found))


def _size(size_bytes: int) -> str:
    kilobytes = max(1, round(size_bytes / 1000))
    return f"{kilobytes} kB" if kilobytes < 1000 else f"{size_bytes / 1e6:.1f} MB"


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex, nofollow"><meta name="referrer" content="no-referrer">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    )
