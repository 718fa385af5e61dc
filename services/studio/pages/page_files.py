"""PageFiles: the page and what it loads, as files of the package. No build makes them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.studio import encoded
from services.studio.encoded import Encoded

FOLDER = Path(__file__).parent
TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
KEPT = "public, max-age=31536000, immutable"
"""The address has the digest of all files, so what is there never changes."""
OTHER = "no-store"
"""A page of another version of this process, in an upgrade: it gets the file of this one, and keeps it not."""
HEADERS = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}


@dataclass(frozen=True, slots=True)
class PageFiles:
    """The files, read once."""

    files: Mapping[str, tuple[Encoded, Encoded]]
    """By path: as they are, and by gzip."""
    version: str
    page: str
    """The HTML of the page, without anything of a person."""

    def routes(self) -> list[Route]:
        """Returns what is answered. The files are the same for everyone."""
        return [Route("/page/{version}/{path:path}", self.file, methods=["GET"])]

    async def file(self, request: Request) -> Response:
        """Returns a file."""
        found = self.files.get(request.path_params["path"])
        if found is None:
            return PlainTextResponse(
                "There is nothing at this address.\n", 404, HEADERS | {"Cache-Control": "no-store"}
            )
        current = request.path_params["version"] == self.version
        return encoded.answer(request, found, HEADERS | {"Cache-Control": KEPT if current else OTHER})


def page_files() -> PageFiles:
    """Reads the files of the package."""
    paths = sorted(path for path in (FOLDER / "files").rglob("*") if path.suffix in TYPES)
    plain = {str(path.relative_to(FOLDER / "files")): Encoded(path.read_bytes(), TYPES[path.suffix]) for path in paths}
    views = "".join(
        f'<template id="view-{path.stem}">\n{path.read_text()}</template>\n'
        for path in sorted((FOLDER / "views").glob("*.html"))
    )
    digest = hashlib.sha256()
    for name, each in plain.items():
        digest.update(f"{name}\0{len(each.body)}\0".encode() + each.body)
    digest.update(views.encode())
    version = digest.hexdigest()[:16]
    return PageFiles(
        {name: (each, each.packed()) for name, each in plain.items()}, version, _page(plain, views, version)
    )


def _page(files: Mapping[str, Encoded], views: str, version: str) -> str:
    at = f"/page/{version}"
    styles = [f'<link rel="stylesheet" href="{at}/{name}">' for name in _styles(files)]
    # All modules are asked for at once: one after another, as each names the next, would take a round trip each.
    modules = [
        f'<link rel="modulepreload" href="{at}/{name}">'
        for name in files
        if name.endswith(".js") and name != "js/theme.js" and not name.startswith("js/views/")
    ]
    modules.append(f'<script type="module" src="{at}/js/app.js"></script>')
    text = (FOLDER / "page.html").read_text()
    for name, value in {"styles": "\n".join(styles), "modules": "\n".join(modules), "views": views}.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text.replace("{{files}}", at)


def _styles(files: Mapping[str, Encoded]) -> list[str]:
    """Returns the style sheets: the tokens first, then the shell and the controls, on which those of views build."""
    first = ["css/tokens.css", "css/shell.css", "css/controls.css"]
    return first + [name for name in files if name.endswith(".css") and name not in first]
