"""The headers of pages: what a page may do, and what may be done with it."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Nothing comes from other hosts, no text becomes a script, and no other site frames the page."""


def page_headers(policy: str = POLICY) -> dict[str, str]:
    """Returns the headers of a page."""
    return {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        # With `no-referrer` browsers would say `Origin: null` of our own forms.
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex, nofollow",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
    }
