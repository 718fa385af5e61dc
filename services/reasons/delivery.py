"""Reasons of webhooks that could not be delivered: what the delivery says of its last try, or a paused endpoint."""

from services.reasons.reason import Advice, Code, Reason


class DeliveryReason(Reason):
    """Why a try of a delivery failed, or why an endpoint is paused."""

    RECEIVER_FORBIDDEN = (
        "RECEIVER_FORBIDDEN",
        "The URL is not https, or its host leads to an address that is not public. Nothing was sent.",
        Code.DELIVERY,
    )
    RECEIVER_UNRESOLVED = (
        "RECEIVER_UNRESOLVED",
        "No name server knows the host of the URL, or none answered.",
        Code.DELIVERY,
    )
    RECEIVER_UNREACHABLE = (
        "RECEIVER_UNREACHABLE",
        "No connection could be made: refused, or no route.",
        Code.DELIVERY,
    )
    RECEIVER_TLS_FAILED = (
        "RECEIVER_TLS_FAILED",
        "The TLS handshake failed, or the certificate is not valid for the host of the URL. Nothing was sent.",
        Code.DELIVERY,
    )
    RECEIVER_SLOW = (
        "RECEIVER_SLOW",
        "No status came in time. Answer with 204 first and work afterwards.",
        Code.DELIVERY,
    )
    RECEIVER_BROKEN = (
        "RECEIVER_BROKEN",
        "The connection broke off before a status, or the answer was no HTTP.",
        Code.DELIVERY,
    )
    RECEIVER_REDIRECTED = (
        "RECEIVER_REDIRECTED",
        "The answer was a redirect, which is not followed. Give the endpoint the URL that answers.",
        Code.DELIVERY,
    )
    RECEIVER_BUSY = (
        "RECEIVER_BUSY",
        "The answer was 429 or 503. Its `Retry-After` is obeyed.",
        Code.DELIVERY,
        Advice.NONE,
    )
    RECEIVER_REFUSED = (
        "RECEIVER_REFUSED",
        "The answer had another status than 200 to 299. The delivery has the status.",
        Code.DELIVERY,
    )
    RECEIVER_GONE = (
        "RECEIVER_GONE",
        "The answer was 410. The endpoint is paused, until you set its state to active.",
        Code.DELIVERY,
    )
