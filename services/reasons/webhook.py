"""Reasons of webhooks: endpoints that are refused, and what cannot be done with them."""

from services.reasons.reason import Code, Reason


class WebhookReason(Reason):
    """Why an endpoint of webhooks is refused, or does not take what is asked of it."""

    WEBHOOK_URL_MALFORMED = (
        "WEBHOOK_URL_MALFORMED",
        "An `https` URL of at most 2,000 ASCII characters with a full host name: no user, no password, no fragment.",
    )
    WEBHOOK_URL_NOT_PUBLIC = (
        "WEBHOOK_URL_NOT_PUBLIC",
        "The host is an address that is not one of the internet, or a name of a local network. Give a public host.",
    )
    WEBHOOK_DESCRIPTION_MALFORMED = "WEBHOOK_DESCRIPTION_MALFORMED", "At most 200 printable characters."
    EVENT_TYPES_TOO_MANY = "EVENT_TYPES_TOO_MANY", "Name each type of event once."
    EVENT_TYPE_UNKNOWN = "EVENT_TYPE_UNKNOWN", "No event has this type. The message lists those that there are."
    WEBHOOK_OVERLAP_OUT_OF_RANGE = (
        "WEBHOOK_OVERLAP_OUT_OF_RANGE",
        "The secret before a rotation can sign for 0 seconds to 7 days.",
    )
    WEBHOOK_STATE_UNKNOWN = "WEBHOOK_STATE_UNKNOWN", "An endpoint can be set to ACTIVE or DISABLED."
    WEBHOOKS_TOO_MANY = (
        "WEBHOOKS_TOO_MANY",
        "A tenant has at most 20 endpoints; the metadata has `limit`. Delete one, or change it.",
        Code.FAILED_PRECONDITION,
    )
    WEBHOOK_NOT_ACTIVE = (
        "WEBHOOK_NOT_ACTIVE",
        "The endpoint is paused or disabled, so nothing is sent. Set it to ACTIVE first.",
        Code.FAILED_PRECONDITION,
    )
    REPLAY_MALFORMED = (
        "REPLAY_MALFORMED",
        "Name 1 to 100 deliveries, or a time since which all dead ones are sent again; not both.",
    )
