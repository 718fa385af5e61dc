"""`/v1/models`, in the shape of OpenAI's API."""

from tools.openapi.operation import JSON, Answer, Operation, Part
from tools.openapi.operations.openai_errors import READ, errors

MODELS = {
    "type": "object",
    "required": ["object", "data"],
    "properties": {
        "object": {"const": "list"},
        "data": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "object", "created", "owned_by"],
                "properties": {
                    "id": {"type": "string", "examples": ["nano"]},
                    "object": {"const": "model"},
                    "created": {"type": "integer"},
                    "owned_by": {"const": "i2v"},
                },
            },
        },
    },
}
ANSWER = Answer(description="The models.", contents={JSON: {"$ref": "#/components/schemas/ModelList"}})

PART = Part(
    tag="Models",
    description="The ids of the models, in the shape of OpenAI's API. `/v1/catalog/models` has their cards.",
    schemas={"ModelList": MODELS},
    operations=(
        Operation(
            method="get",
            path="/v1/models",
            operation_id="listModelIds",
            summary="List the ids of the models",
            answers={200: ANSWER} | errors(*READ),
        ),
    ),
)
