"""The style of the page, and the headers that let it use this style and nothing from elsewhere."""

import base64
import hashlib

STYLE = """
:root { color-scheme: light dark; --line: light-dark(#e0e0e6, #34343c); --quiet: light-dark(#5b5b66, #a6a6b2);
  --soft: light-dark(#f5f5f8, #1e1e24); --link: light-dark(#0b57c2, #8ab8ff); scroll-padding-top: 1rem; }
* { box-sizing: border-box; }
body { margin: 0; font: 1rem/1.55 system-ui, sans-serif; background: light-dark(#fff, #141418);
  color: light-dark(#17171c, #ececf1); overflow-wrap: break-word; }
header { padding: 1rem; border-bottom: 1px solid var(--line); display: flex; gap: 1rem; align-items: baseline;
  justify-content: space-between; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.5rem; margin: 3rem 0 0.5rem; }
h3 { font-size: 1.15rem; margin: 0 0 0.25rem; }
h4 { font-size: 0.95rem; margin: 1.25rem 0 0.25rem; }
h3 a { color: inherit; text-decoration: none; }
h3 a:hover { text-decoration: underline; }
a { color: var(--link); text-underline-offset: 0.15em; }
p, ul { margin: 0.5rem 0; }
ul { padding-left: 1.25rem; }
code { font: 0.9em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.quiet, .kind { color: var(--quiet); font-size: 0.9rem; font-weight: normal; }
.needed { color: light-dark(#a1400a, #ffb27a); font-size: 0.85rem; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 0.5rem; background: light-dark(#fff, #141418); padding: 0.5rem; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
main { padding: 0.75rem 1rem 6rem; max-width: 60rem; min-width: 0; }
article { border-top: 1px solid var(--line); padding: 1.5rem 0; }
.line { margin: 0.25rem 0 0.75rem; }
.method { display: inline-block; min-width: 4rem; text-align: center; padding: 0.05rem 0.5rem; border-radius: 0.3rem;
  font-size: 0.8rem; font-weight: 600; letter-spacing: 0.03em; color: #fff; background: #5b5b66; }
.get { background: #1d63c4; }
.post { background: #1d7a45; }
.patch, .put { background: #8a5a00; }
.delete { background: #b02a2a; }
.fields { margin: 0.5rem 0; }
.fields > div { padding: 0.5rem 0; border-top: 1px solid var(--line); }
.fields > div:first-child { border-top: 0; }
dt code { font-weight: 600; }
dd { margin: 0.25rem 0 0; min-width: 0; }
dd > :first-child { margin-top: 0; }
dd > :last-child { margin-bottom: 0; }
dd .fields { border-left: 2px solid var(--line); padding-left: 0.75rem; }
pre { margin: 1rem 0 0; padding: 0.75rem 1rem; border-radius: 0.5rem; background: var(--soft); overflow-x: auto;
  line-height: 1.45; }
pre code { overflow-wrap: normal; user-select: all; }
summary { cursor: pointer; font-weight: 600; font-size: 0.95rem; padding: 0.35rem 0; }
nav { padding: 0.75rem 1rem; border-bottom: 1px solid var(--line); }
nav ul { list-style: none; padding: 0; margin: 0; }
nav > ul { display: flex; flex-wrap: wrap; gap: 0.35rem 0.9rem; }
nav ul ul { display: none; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
@media (min-width: 40rem) {
  .fields > div { display: grid; grid-template-columns: 15rem minmax(0, 1fr); gap: 1.25rem; }
  dd .fields > div { display: block; }
  dd { margin: 0; }
}
@media (min-width: 62rem) {
  body { display: grid; grid-template-columns: 17rem minmax(0, 1fr); }
  header { grid-column: 1 / -1; padding: 1rem 2rem; }
  nav { position: sticky; top: 0; max-height: 100vh; overflow-y: auto; padding: 1.25rem 1rem 3rem 2rem;
    border-bottom: 0; border-right: 1px solid var(--line); align-self: start; }
  nav > ul { display: block; }
  nav > ul > li { margin-bottom: 1rem; }
  nav ul ul { display: block; font-size: 0.9rem; }
  nav li li a { color: var(--quiet); display: block; padding: 0.1rem 0; }
  nav .tag { font-weight: 600; color: inherit; }
  main { padding: 0.75rem 2.5rem 6rem; }
}
@media print { nav { display: none; } }
"""

_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}
