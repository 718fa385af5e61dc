"""Reasons of requests over HTTP, which are refused before the API is asked."""

from services.reasons.reason import Advice, Code, Reason


class HttpReason(Reason):
    """Why a request over HTTP is refused."""

    BODY_MALFORMED = "BODY_MALFORMED", "The request broke off before its end, or says its length in two ways."
    HEAD_TOO_LARGE = "HEAD_TOO_LARGE", "A request has at most 200 headers, of 64 KiB together."
    BODY_SLOW = "BODY_SLOW", "The request took longer than a minute to arrive.", Code.INVALID_ARGUMENT, Advice.RETRY
    BODY_TOO_LARGE = (
        "BODY_TOO_LARGE",
        "A request for a video has at most 15 MiB, a picture in base64 and the fields; other JSON at most 2 MiB.",
    )
    BODY_UNEXPECTED = "BODY_UNEXPECTED", "The request has a body, and its method takes none. Send it without one."
    CONTENT_TYPE_UNSUPPORTED = (
        "CONTENT_TYPE_UNSUPPORTED",
        "Send `application/json`, without a content encoding; for a video also `multipart/form-data`.",
    )
    FORM_MALFORMED = "FORM_MALFORMED", "A form has at most 20 fields and one file, `input_reference`."
    JSON_MALFORMED = (
        "JSON_MALFORMED",
        "Send one JSON object without `NaN`, without a name twice, and at most 100 levels deep.",
    )
    FIELD_DUPLICATE = "FIELD_DUPLICATE", "A form, a query and the headers have each field once."
    FIELD_UNKNOWN = "FIELD_UNKNOWN", "The message lists the fields that there are."
    FIELD_MALFORMED = "FIELD_MALFORMED", "The value of the field; the message says what is allowed."
    URL_UNSUPPORTED = "URL_UNSUPPORTED", "Nothing is fetched from other hosts. Send the picture, or a data URL."
    PATH_UNKNOWN = "PATH_UNKNOWN", "There is nothing at this path; docs/http.md lists what there is.", Code.NOT_FOUND
    PATH_MALFORMED = (
        "PATH_MALFORMED",
        "A part of the path is no id: it has 1 to 128 letters, digits, `.`, `_`, `~` and `-`.",
        Code.NOT_FOUND,
    )
    METHOD_UNSUPPORTED = "METHOD_UNSUPPORTED", "The header `Allow` and the message list the methods of the path."
    BODIES_FULL = (
        "BODIES_FULL",
        "Too many requests with pictures arrive at the same time. Repeat after `Retry-After`.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    UPLOAD_LENGTH_REQUIRED = "UPLOAD_LENGTH_REQUIRED", "An upload in parts begins with `Upload-Length`, at least 1."
    UPLOAD_LENGTH_INCONSISTENT = (
        "UPLOAD_LENGTH_INCONSISTENT",
        "`Content-Length`, `Upload-Offset` and `Upload-Length` do not go together, or fewer bytes came than were "
        "announced as the last.",
    )
    RANGE_UNSATISFIABLE = "RANGE_UNSATISFIABLE", "The file has no byte in this range; `Content-Range` has its size."
    CONNECTIONS_FULL = (
        "CONNECTIONS_FULL",
        "The process has as many connections as it allows, or as many requests of this key. Repeat after "
        "`Retry-After`. Operators: raise `I2V_STUDIO_MAX_CONNECTIONS`, or add replicas.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    EVENT_STREAMS_FULL = (
        "EVENT_STREAMS_FULL",
        "The process has as many event streams open as it allows, or as many of this key. Repeat after "
        "`Retry-After`. Operators: raise `I2V_STUDIO_EVENT_STREAMS`, or add replicas.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    CALLER_STREAMS_FULL = (
        "CALLER_STREAMS_FULL",
        "This user of this key has as many event streams open in the process as it may. Close some. Operators: raise "
        "`I2V_STUDIO_CALLER_EVENT_STREAMS`.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    PRECONDITION_UNSUPPORTED = "PRECONDITION_UNSUPPORTED", "`If-Match` holds only where a resource has an `etag`."
    API_UNAVAILABLE = (
        "API_UNAVAILABLE",
        "The gRPC API did not answer, or not in time. Repeat after `Retry-After`, with the same `Idempotency-Key`.",
        (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED),
        Advice.RETRY,
    )
    API_FAILED = (
        "API_FAILED",
        "The gRPC API, or the HTTP process itself, did not answer as expected; their logs say why.",
        Code.INTERNAL,
        Advice.OPERATORS,
    )
    COOKIE_REPEATED = (
        "COOKIE_REPEATED",
        "The cookie of a session came twice, so one of them is not ours. Delete the cookies of this site, and sign in.",
    )
    CROSS_SITE = (
        "CROSS_SITE",
        "A session's cookie counts only for requests of our own pages: `Sec-Fetch-Site` says so, and methods but GET "
        "and HEAD need our `Origin` and `I2V-Page: 1`. Programs send a key as `Authorization: Bearer`.",
        Code.PERMISSION_DENIED,
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
