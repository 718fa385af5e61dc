"""The style of the pages of shares, and the headers that let a page use this style and nothing from elsewhere."""

import base64
import hashlib

STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d5d5da, #3a3a42); --quiet: light-dark(#5b5b66, #a6a6b2); }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; font: 1rem/1.5 system-ui, sans-serif;
  background: light-dark(#fff, #141418); color: light-dark(#17171c, #ececf1); }
h1 { font-size: 1.35rem; line-height: 1.3; margin: 0.25rem 0 1rem; overflow-wrap: anywhere; }
p { margin: 0.75rem 0; }
a { color: light-dark(#0b57c2, #8ab8ff); }
.quiet { color: var(--quiet); font-size: 0.9rem; }
.wrong { color: light-dark(#a61b1b, #ff9a94); }
video, .whole { display: block; max-width: 100%; max-height: 78vh; margin: 0 auto; border-radius: 0.5rem; }
video { width: 100%; background: #000; }
audio { width: 100%; }
.button { display: inline-block; padding: 0.6rem 1.1rem; border: 1px solid var(--line); border-radius: 0.5rem;
  font: inherit; text-decoration: none; background: light-dark(#f3f3f6, #24242b); color: inherit; cursor: pointer; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: 0.75rem; padding: 0;
  margin: 0; list-style: none; }
.grid a { display: block; color: inherit; text-decoration: none; }
.grid img { display: block; width: 100%; aspect-ratio: 4 / 3; object-fit: cover; border-radius: 0.5rem;
  background: light-dark(#ececf0, #24242b); }
.grid span { display: block; overflow: hidden; white-space: nowrap; text-overflow: ellipsis; font-size: 0.9rem; }
nav { display: flex; gap: 0.75rem; margin: 1rem 0; }
input { font: inherit; padding: 0.6rem; width: 100%; max-width: 24rem; border: 1px solid var(--line);
  border-radius: 0.5rem; background: inherit; color: inherit; }
"""

_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; img-src 'self'; media-src 'self'; style-src 'sha256-{_DIGEST}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
    "Cross-Origin-Opener-Policy": "same-origin",
}
