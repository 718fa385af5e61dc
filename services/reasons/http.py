"""Reasons of requests over HTTP, which are refused before the API is asked."""

from services.reasons.reason import Advice, Code, Reason


class HttpReason(Reason):
    """Why a request over HTTP is refused."""

    BODY_MALFORMED = "BODY_MALFORMED", "The request broke off before its end."
    BODY_SLOW = "BODY_SLOW", "The request took longer than a minute to arrive.", Code.INVALID_ARGUMENT, Advice.RETRY
    BODY_TOO_LARGE = "BODY_TOO_LARGE", "A request has at most 15 MiB: a picture in base64, and the fields."
    CONTENT_TYPE_UNSUPPORTED = "CONTENT_TYPE_UNSUPPORTED", "Send `application/json` or `multipart/form-data`."
    FORM_MALFORMED = "FORM_MALFORMED", "A form has at most 20 fields and one file, `input_reference`."
    JSON_MALFORMED = (
        "JSON_MALFORMED",
        "Send one JSON object without `NaN`, without a name twice, and at most 100 levels deep.",
    )
    FIELD_DUPLICATE = "FIELD_DUPLICATE", "A form has each field once."
    FIELD_UNKNOWN = "FIELD_UNKNOWN", "The message lists the fields that there are."
    FIELD_MALFORMED = "FIELD_MALFORMED", "The value of the field; the message says what is allowed."
    URL_UNSUPPORTED = "URL_UNSUPPORTED", "Nothing is fetched from other hosts. Send the picture, or a data URL."
    PATH_UNKNOWN = "PATH_UNKNOWN", "There is nothing at this path; docs/http.md lists what there is.", Code.NOT_FOUND
    METHOD_UNSUPPORTED = "METHOD_UNSUPPORTED", "The header `Allow` and the message list the methods of the path."
    BODIES_FULL = (
        "BODIES_FULL",
        "Too many requests with pictures arrive at the same time. Repeat after `Retry-After`.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    MODEL_REQUIRED = "MODEL_REQUIRED", "No model of this service makes such a video."
    LIVE_PENDING = (
        "LIVE_PENDING",
        "The job has no fragment yet. Repeat after `Retry-After`; the request waits ten seconds for the first one.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    FRAGMENT_UNPLAYABLE = (
        "FRAGMENT_UNPLAYABLE",
        "A fragment is no MP4 that can be cut into segments. Read the video when it is complete.",
        Code.INTERNAL,
        Advice.OPERATORS,
    )
    VIDEO_UNFINISHED = (
        "VIDEO_UNFINISHED",
        "The video is not complete, or could not be made; its status says more.",
        Code.FAILED_PRECONDITION,
        Advice.RETRY,
    )
