"""`/v1/videos`, in the shape of OpenAI's Videos API."""

from services.studio.videos.video_json import PREFIX
from services.studio.videos.video_request import SEED_MOST, TEXT_MOST
from services.studio.videos.video_routes import LIST_MOST, VARIANTS
from tools.openapi.message_schemas import Schema
from tools.openapi.operation import JSON, Answer, Body, Operation, Parameter, Part
from tools.openapi.operations.file_answers import RANGE_PARAMETERS, file_answers
from tools.openapi.operations.openai_errors import ERROR, READ, WRITE, errors

AN_ID = f"{PREFIX}6b0f3c4e-8f5e-4a53-9c4b-2f0d3f5c1a77"
VIDEO: Schema = {
    "type": "object",
    "description": "A video, in OpenAI's shape, with its seed and its cost.",
    "required": ["id", "object", "model", "status", "progress", "prompt", "seconds", "size", "created_at", "cost"],
    "properties": {
        "id": {"type": "string", "examples": [AN_ID]},
        "object": {"const": "video"},
        "model": {"type": "string", "description": "The model, by our name."},
        "status": {
            "type": "string",
            "enum": ["queued", "in_progress", "completed", "failed"],
            "description": "A video whose job was stopped but not deleted is failed, with the error cancelled.",
        },
        "progress": {"type": "integer", "minimum": 0, "maximum": 100, "description": "Percent."},
        "prompt": {"type": "string"},
        "seconds": {"type": "string", "examples": ["5"]},
        "size": {"type": "string", "description": "Width and height in pixels, or a vendor's resolution."},
        "created_at": {"type": "integer", "description": "Seconds since 1970."},
        "completed_at": {"type": ["integer", "null"], "description": "Seconds since 1970; null until the end."},
        "expires_at": {"type": "null", "description": "Videos do not expire by themselves."},
        "remixed_from_video_id": {"type": ["string", "null"]},
        "error": {
            "type": ["object", "null"],
            "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        },
        "seed": {"type": ["integer", "null"], "minimum": 0, "maximum": SEED_MOST},
        "cost": {
            "type": "object",
            "description": "What it cost, or, until it has ended, what is reserved for it.",
            "required": ["amount_micros", "currency"],
            "properties": {
                "amount_micros": {"type": "integer", "description": "Millionths of the currency."},
                "currency": {"type": "string", "examples": ["USD"]},
            },
        },
    },
}
LIST: Schema = {
    "type": "object",
    "required": ["object", "data", "first_id", "last_id", "has_more"],
    "properties": {
        "object": {"const": "list"},
        "data": {"type": "array", "items": {"$ref": "#/components/schemas/Video"}},
        "first_id": {"type": ["string", "null"]},
        "last_id": {"type": ["string", "null"], "description": "Give it as `after` for the next page."},
        "has_more": {"type": "boolean"},
    },
}
DELETED: Schema = {
    "type": "object",
    "required": ["id", "object", "deleted"],
    "properties": {"id": {"type": "string"}, "object": {"const": "video.deleted"}, "deleted": {"const": True}},
}
PROMPT: Schema = {"type": "string", "minLength": 1, "maxLength": TEXT_MOST, "description": "What moves, and how."}
FIELDS: Schema = {
    "prompt": PROMPT,
    "model": {
        "type": "string",
        "description": "An id of `/v1/models`. Default: a local model that does it, the cheapest one.",
    },
    "seconds": {
        "type": ["string", "number"],
        "description": "One of the model's lengths. Default: its first.",
        "examples": ["1"],
    },
    "size": {
        "type": "string",
        "pattern": "^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$",
        "description": "Width and height in pixels. Default: the model's size nearest to the picture's shape.",
    },
    "seed": {
        "type": ["integer", "string"],
        "minimum": 0,
        "maximum": SEED_MOST,
        "description": "The same request with the same seed gives the same video.",
    },
}
REFERENCE: Schema = {
    "description": "The first frame: a data URL, or an asset that was uploaded before.",
    "oneOf": [
        {
            "type": "object",
            "required": ["image_url"],
            "properties": {"image_url": {"type": "string", "pattern": "^data:image/[a-z0-9.+-]{1,40};base64,.+$"}},
            "additionalProperties": False,
        },
        {
            "type": "object",
            "required": ["file_id"],
            "properties": {"file_id": {"type": "string", "pattern": "^(assets/)?[0-9a-f]{64}$"}},
            "additionalProperties": False,
        },
    ],
}
CREATE: Schema = {
    "type": "object",
    "required": ["prompt"],
    "properties": FIELDS | {"input_reference": REFERENCE},
    "additionalProperties": False,
}
FILE: Schema = {"type": "string", "format": "binary", "description": "The first frame, a file of at most 10 MB."}
CREATE_FORM: Schema = {
    "type": "object",
    "required": ["prompt"],
    "properties": FIELDS | {"input_reference": FILE},
    "additionalProperties": False,
}
REMIX: Schema = {
    "type": "object",
    "required": ["prompt"],
    "properties": {"prompt": PROMPT},
}
ID = Parameter(name="id", where="path", description="The id of the video.", schema={"type": "string"}, example=AN_ID)
ONCE = Parameter(
    name="Idempotency-Key",
    where="header",
    description="The same request with the same key makes one job, however often it is sent.",
    schema={"type": "string", "minLength": 1, "maxLength": 255},
)
A_VIDEO = {200: Answer(description="The video.", contents={JSON: {"$ref": "#/components/schemas/Video"}})}

PART = Part(
    tag="Videos",
    description=(
        "In the shape of OpenAI's Videos API, so that its official clients work unchanged. What this shape does not "
        "have, the jobs have."
    ),
    schemas={
        "Video": VIDEO,
        "VideoList": LIST,
        "VideoDeleted": DELETED,
        "VideoCreate": CREATE,
        "VideoForm": CREATE_FORM,
        "VideoRemix": REMIX,
        "OpenAIError": ERROR,
    },
    operations=(
        Operation(
            method="post",
            path="/v1/videos",
            operation_id="createVideo",
            summary="Make a video",
            description="Submits a job. JSON, or a form with the picture as its file `input_reference`.",
            parameters=(ONCE,),
            body=Body(
                contents={
                    JSON: {"$ref": "#/components/schemas/VideoCreate"},
                    "multipart/form-data": {"$ref": "#/components/schemas/VideoForm"},
                },
                example={"prompt": "slow pan over the roof", "seconds": "1"},
            ),
            answers=A_VIDEO | errors(*WRITE),
        ),
        Operation(
            method="get",
            path="/v1/videos",
            operation_id="listVideos",
            summary="List videos",
            description="Without those that were deleted.",
            parameters=(
                Parameter(
                    name="limit",
                    where="query",
                    description="Videos on a page.",
                    schema={"type": "integer", "minimum": 1, "maximum": LIST_MOST, "default": 20},
                ),
                Parameter(
                    name="after",
                    where="query",
                    description="The page begins after this id.",
                    schema={"type": "string"},
                ),
                Parameter(
                    name="order",
                    where="query",
                    description="The newest first, or the oldest.",
                    schema={"type": "string", "enum": ["desc", "asc"], "default": "desc"},
                ),
            ),
            answers={200: Answer(description="A page.", contents={JSON: {"$ref": "#/components/schemas/VideoList"}})}
            | errors(*READ),
        ),
        Operation(
            method="get",
            path="/v1/videos/{id}",
            operation_id="retrieveVideo",
            summary="Read a video's state",
            parameters=(ID,),
            answers=A_VIDEO | errors(*READ),
        ),
        Operation(
            method="delete",
            path="/v1/videos/{id}",
            operation_id="deleteVideo",
            summary="Delete a video",
            description="Moves a completed video to the trash. Deletes the job of any other; one that has not ended is "
            "stopped first. 422: the outcome of a vendor's paid call is unknown, so that the job cannot be stopped.",
            parameters=(ID,),
            answers={200: Answer(description="Done.", contents={JSON: {"$ref": "#/components/schemas/VideoDeleted"}})}
            | errors(*READ, 422),
        ),
        Operation(
            method="get",
            path="/v1/videos/{id}/content",
            operation_id="downloadVideoContent",
            summary="Download a video",
            description="The file, or a picture of it.",
            parameters=(
                ID,
                Parameter(
                    name="variant",
                    where="query",
                    description="The video, or a picture of it.",
                    schema={"type": "string", "enum": list(VARIANTS), "default": "video"},
                ),
                *RANGE_PARAMETERS,
            ),
            answers=file_answers("video/mp4", "image/webp", "image/jpeg") | errors(*READ, 409),
        ),
        Operation(
            method="post",
            path="/v1/videos/{id}/remix",
            operation_id="remixVideo",
            summary="Make a video again with another prompt",
            description="The same job with another prompt and a new seed.",
            parameters=(ID, ONCE),
            body=Body(
                contents={
                    JSON: {"$ref": "#/components/schemas/VideoRemix"},
                    "multipart/form-data": {"$ref": "#/components/schemas/VideoRemix"},
                },
                example={"prompt": "it begins to rain"},
            ),
            answers=A_VIDEO | errors(*WRITE),
        ),
    ),
)
