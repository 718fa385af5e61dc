"""The style of the sign-in pages, and the headers that let them use it and nothing else. They have no script."""

import base64
import hashlib

from services.studio.page_headers import page_headers

STYLE = """
:root { color-scheme: light dark;
  --ground: light-dark(#f4f3f0, #131316); --card: light-dark(#fff, #1c1c21); --ink: light-dark(#1a1a1f, #f0eff3);
  --quiet: light-dark(#5c5a66, #a9a7b4); --line: light-dark(#84828e, #75737f); --edge: light-dark(#e3e1dc, #2c2c33);
  --accent: light-dark(#4338ca, #a5b4fc); --on-accent: light-dark(#fff, #17162b);
  --accent-over: light-dark(#362da6, #c3cdff); --wrong: light-dark(#a1160f, #ffa198);
  --wrong-ground: light-dark(#fdf0ee, #351c1b); }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; min-height: 100dvh; display: grid; place-items: center;
  padding: clamp(1rem, 4vw, 3rem) 1rem; font: 1rem/1.5 system-ui, sans-serif; background: var(--ground);
  color: var(--ink); -webkit-text-size-adjust: 100%; }
main { width: 100%; max-width: 25rem; }
.card { background: var(--card); border: 1px solid var(--edge); border-radius: 1rem;
  padding: clamp(1.5rem, 6vw, 2.25rem); box-shadow: 0 1px 2px rgb(0 0 0 / 5%), 0 12px 32px rgb(0 0 0 / 7%); }
.mark { display: flex; align-items: center; gap: 0.625rem; margin: 0 0 1.5rem; font-weight: 650;
  letter-spacing: -0.01em; }
.mark svg { width: 2rem; height: 2rem; flex: none; color: var(--accent); }
h1 { margin: 0 0 0.5rem; font-size: 1.5rem; line-height: 1.25; letter-spacing: -0.02em; font-weight: 650; }
p { margin: 0; text-wrap: pretty; }
.foot { text-wrap: balance; }
.quiet { color: var(--quiet); }
.lead { margin-bottom: 1.5rem; }
.wrong { margin: 0 0 1.25rem; padding: 0.75rem 0.875rem; border-radius: 0.625rem; border-left: 4px solid var(--wrong);
  background: var(--wrong-ground); color: var(--wrong); overflow-wrap: anywhere; }
.wrong strong { display: block; }
label { display: block; font-weight: 600; margin-bottom: 0.375rem; }
label .quiet { font-weight: 400; }
.field { margin-bottom: 1.25rem; }
.hint { margin-top: 0.375rem; font-size: 0.875rem; }
input { display: block; width: 100%; min-height: 2.75rem; padding: 0.5rem 0.75rem; font: inherit; color: inherit;
  background: transparent; border: 1px solid var(--line); border-radius: 0.625rem; }
input[aria-invalid] { border-color: var(--wrong); border-width: 2px; }
button, .button { display: block; width: 100%; min-height: 2.875rem; padding: 0.625rem 1rem; border: 0;
  border-radius: 0.625rem; font: inherit; font-weight: 600; text-align: center; text-decoration: none;
  background: var(--accent); color: var(--on-accent); cursor: pointer; transition: background 120ms; }
button:hover, .button:hover { background: var(--accent-over); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.foot { margin: 1.25rem 0 0; text-align: center; font-size: 0.875rem; }
a { color: var(--accent); }
dl { display: grid; grid-template-columns: auto 1fr; gap: 0.25rem 1rem; margin: 0 0 1.5rem; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; font-weight: 600; }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
@media (forced-colors: active) { button, .button, .card { border: 1px solid; } }
"""

_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = page_headers(
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
