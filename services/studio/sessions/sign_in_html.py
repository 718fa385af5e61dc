"""The sign-in pages as HTML. What was typed as the key is never in one."""

import html

from services.studio.sessions.sign_in_style import STYLE

MARK = (
    '<p class="mark"><svg viewBox="0 0 32 32" fill="none" stroke="currentColor" stroke-width="2.5" '
    'stroke-linejoin="round" aria-hidden="true"><rect x="2.5" y="5.5" width="27" height="21" rx="5"/>'
    '<path d="M13 11.5v9l7.5-4.5z" fill="currentColor"/></svg>i2v studio</p>'
)
KEY_MOST, USER_MOST = 8192, 128


def form(wrong: str = "", *, field: str = "", user: str = "") -> str:
    """Returns the form; `wrong` says what was wrong the last time, and `field` is `key` or `user` if it was one."""
    found = f'<div class="wrong" role="alert" id="wrong"><strong>Not signed in.</strong> {html.escape(wrong)}</div>'
    key_is, user_is = (' aria-invalid="true"' if field == name else "" for name in ("key", "user"))
    key_says = "key-hint wrong" if field == "key" else "key-hint"
    user_says = "user-hint wrong" if field == "user" else "user-hint"
    on_key, on_user = ("", " autofocus") if field == "user" else (" autofocus", "")
    body = (
        '<h1>Sign in</h1><p class="quiet lead">With the API key that you were given.</p>'
        f"{found if wrong else ''}"
        '<form method="post" action="/sign-in">'
        '<div class="field"><label for="key">API key</label>'
        f'<input id="key" name="key" type="password" required maxlength="{KEY_MOST}" autocomplete="current-password" '
        f'autocapitalize="none" spellcheck="false" aria-describedby="{key_says}"{key_is}{on_key}>'
        '<p class="quiet hint" id="key-hint">A token of your company’s sign-in works too.</p></div>'
        '<div class="field"><label for="user">Name <span class="quiet">(optional)</span></label>'
        f'<input id="user" name="user" type="text" maxlength="{USER_MOST}" autocomplete="username" '
        f'autocapitalize="none" spellcheck="false" value="{html.escape(user)}" aria-describedby="{user_says}"'
        f"{user_is}{on_user}>"
        '<p class="quiet hint" id="user-hint">Keeps your videos apart from others’ who have the same key.</p></div>'
        "<button>Sign in</button></form>"
    )
    return _page("Sign in", body, foot="You stay signed in for 12&nbsp;hours, in this browser alone.")


def link() -> str:
    """Returns the page of a sign-in link: only its button uses the link up."""
    body = (
        '<h1>Sign in</h1><p class="quiet lead">This link signs you in, in this browser. It works once.</p>'
        '<form method="post"><button autofocus>Continue</button></form>'
    )
    return _page("Sign in", body, foot='Or <a href="/sign-in">sign in with a key</a>.')


def link_ended(wrong: str) -> str:
    """Returns the page of a link that signs no one in."""
    body = (
        f'<h1>This link does not work</h1><p class="quiet lead" role="alert">{html.escape(wrong)}</p>'
        '<a class="button" href="/sign-in">Sign in with a key</a>'
    )
    return _page("This link does not work", body)


def again(address: str) -> str:
    """Returns a page that opens an address of ours by itself: then the browser sends the cookie along."""
    body = f'<h1>One moment</h1><p><a href="{address}">Continue</a></p>'
    return _page("One moment", body, head=f'<meta http-equiv="refresh" content="0; url={address}">')


def away() -> str:
    """Returns the page for a service that is busy or away."""
    body = (
        '<h1>The service is away</h1><p class="quiet lead" role="alert">You are still signed in. '
        'Try again in a moment.</p><a class="button" href="/">Try again</a>'
    )
    return _page("The service is away", body)


def still_signed_in() -> str:
    """Returns the page after a sign-out that the service did not hear of."""
    body = (
        '<h1>You are still signed in</h1><p class="quiet lead" role="alert">The service is busy or away, so your '
        "session could not be ended. Try again in a moment.</p>"
        '<form method="post" action="/sign-out"><button>Sign out</button></form>'
    )
    return _page("You are still signed in", body)


def _page(title: str, body: str, *, foot: str = "", head: str = "") -> str:
    below = f'<p class="quiet foot">{foot}</p>' if foot else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="robots" content="noindex, nofollow">{head}<title>{html.escape(title)} – i2v studio</title>'
        f'<style>{STYLE}</style></head><body><main><div class="card">{MARK}{body}</div>{below}</main></body></html>'
    )
