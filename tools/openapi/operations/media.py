"""`/media/{token}`: what a signed URL names."""

from tools.openapi.operation import Answer, Operation, Parameter, Part
from tools.openapi.operations.file_answers import RANGE_PARAMETERS, file_answers

TEXTS = {
    403: "The URL was altered, or was not made by this service.",
    404: "What the URL named was deleted.",
    410: "The URL has expired.",
    502: "The service did not answer as expected.",
    503: "The service is busy or away. Repeat after `Retry-After`.",
}

PART = Part(
    tag="Signed URLs",
    description="URLs that anyone can read until they expire. The URL is the credential: players need no key.",
    operations=(
        Operation(
            method="get",
            path="/media/{token}",
            operation_id="readSignedUrl",
            summary="Read what a signed URL names",
            parameters=(
                Parameter(
                    name="token",
                    where="path",
                    description="From the answer that has the URL.",
                    schema={"type": "string"},
                    example="signed.…",
                ),
                *RANGE_PARAMETERS,
            ),
            answers=file_answers("*/*")
            | {
                status: Answer(
                    description=text,
                    contents={"text/plain": {"type": "string"}},
                    headers={"Retry-After": "Seconds until a repeat may succeed."} if status == 503 else {},
                )
                for status, text in TEXTS.items()
            },
            needs_key=False,
        ),
    ),
)
