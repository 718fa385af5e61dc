"""Errors in the form of OpenAI's API, which `/v1/videos` and `/v1/models` answer with."""

from tools.openapi.operation import JSON, Answer

ERROR = {
    "type": "object",
    "description": "An error in the form of OpenAI's API.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string", "description": "One sentence for a person."},
                "type": {
                    "type": "string",
                    "enum": [
                        "invalid_request_error",
                        "authentication_error",
                        "permission_error",
                        "not_found_error",
                        "rate_limit_error",
                        "server_error",
                    ],
                },
                "param": {"type": ["string", "null"], "description": "The field; null: the request as a whole."},
                "code": {"type": ["string", "null"], "description": "The reason, an UPPER_SNAKE word for programs."},
            },
        }
    },
}
TEXTS = {
    400: "A field or the body is wrong; `param` names it. Change the request.",
    401: "The key is missing, unknown, revoked or expired (`API_KEY_MISSING`, `API_KEY_UNKNOWN`).",
    403: "The key lacks the scope (`SCOPE_MISSING`), or the tenant is suspended (`TENANT_SUSPENDED`).",
    404: "There is no such video, model or picture for this user.",
    408: "The body took longer than a minute to arrive (`BODY_SLOW`).",
    409: "The video is not complete (`VIDEO_UNFINISHED`), or the key of idempotency has another request.",
    413: "The body has more than 15 MiB (`BODY_TOO_LARGE`).",
    415: "The body is neither JSON nor a form (`CONTENT_TYPE_UNSUPPORTED`).",
    422: "The request cannot be fulfilled in this state; `code` says why.",
    429: "A limit of the plan is reached; `code` names it. `Retry-After` is there if time helps.",
    500: "A fault of the service. The log has it.",
    503: "The service is busy or away. Repeat after `Retry-After`.",
    504: "The service did not answer in time.",
}
LATER = {"Retry-After": "Seconds until a repeat may succeed."}
READ = (400, 401, 403, 404, 422, 429, 500, 503, 504)
WRITE = (400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 503, 504)


def errors(*statuses: int) -> dict[int, Answer]:
    """Returns the answers for these statuses."""
    return {
        status: Answer(
            description=TEXTS[status],
            contents={JSON: {"$ref": "#/components/schemas/OpenAIError"}},
            headers=LATER if status in (429, 503) else {},
        )
        for status in statuses
    }
