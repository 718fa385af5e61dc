"""The schema of problem details (RFC 9457), as services/studio/problem.py writes them."""

from tools.openapi.message_schemas import Schema

PROBLEM: Schema = {
    "type": "object",
    "description": "Why a request was refused (RFC 9457). Nothing was charged, and nothing was lost.",
    "required": ["type", "title", "status", "detail", "reason"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "`urn:i2v:reason:` and the reason."},
        "title": {"type": "string", "description": "The reason in words."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The status of HTTP."},
        "detail": {"type": "string", "description": "One sentence for a person."},
        "reason": {"type": "string", "description": "A stable UPPER_SNAKE word for programs."},
        "violations": {
            "type": "array",
            "description": "What is wrong in the request, by field.",
            "items": {
                "type": "object",
                "required": ["field", "reason", "description"],
                "properties": {
                    "field": {"type": "string", "description": "Its path, such as `spec.imageToVideo.prompt`."},
                    "reason": {"type": "string"},
                    "description": {"type": "string", "description": "What is allowed."},
                },
            },
        },
        "limits": {
            "type": "array",
            "description": "The limits of the plan that refused it.",
            "items": {
                "type": "object",
                "properties": {
                    "reason": {"type": "string"},
                    "subject": {"type": "string", "description": "Whom it limits."},
                    "measure": {"type": "string", "description": "What it counts."},
                    "per": {"type": "string", "description": "The period."},
                    "plan": {"type": "string"},
                    "limit": {"type": "string", "pattern": "^-?[0-9]+$"},
                    "used": {"type": "string", "pattern": "^-?[0-9]+$"},
                    "asked": {"type": "string", "pattern": "^-?[0-9]+$"},
                    "resetTime": {"type": ["string", "null"], "format": "date-time"},
                    "description": {"type": "string"},
                },
            },
        },
        "metadata": {
            "type": "object",
            "description": "More for programs, such as the price that holds now.",
            "additionalProperties": {"type": "string"},
        },
    },
    "examples": [
        {
            "type": "urn:i2v:reason:DURATION_UNSUPPORTED",
            "title": "Duration unsupported",
            "status": 400,
            "detail": "spec.duration: The model makes videos of 1 or 2 seconds.",
            "reason": "DURATION_UNSUPPORTED",
            "violations": [
                {
                    "field": "spec.duration",
                    "reason": "DURATION_UNSUPPORTED",
                    "description": "The model makes videos of 1 or 2 seconds.",
                }
            ],
        }
    ],
}
