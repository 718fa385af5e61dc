"""`/s/{token}`: the pages of shares and their files."""

from tools.openapi.operation import Answer, Body, Operation, Parameter, Part
from tools.openapi.operations.file_answers import RANGE_PARAMETERS, file_answers

HTML = {"text/html": {"type": "string"}}
PLAIN = {"text/plain": {"type": "string"}}
LATER = {"Retry-After": "Seconds until a repeat may succeed."}
TOKEN = Parameter(
    name="token", where="path", description="From the share's URL.", schema={"type": "string"}, example="share.…"
)
DIGEST = Parameter(
    name="digest",
    where="path",
    description="The SHA-256 of the asset.",
    schema={"type": "string", "pattern": "^[0-9a-f]{64}$"},
)
VARIANT = Parameter(name="variant", where="path", description="Such as `thumbnail-256`.", schema={"type": "string"})
SAVE = Parameter(name="save", where="query", description="With it a browser saves the file.", schema={"type": "string"})
PAGES = {
    400: Answer(description="The form cannot be read.", contents=HTML),
    403: Answer(description="A pass phrase is needed, or was wrong. The page asks for it.", contents=HTML),
    404: Answer(description="The share is unknown, has expired or was ended: always the same page.", contents=HTML),
    429: Answer(description="Too many pass phrases were tried.", contents=HTML, headers=LATER),
    503: Answer(description="The service is busy or away.", contents=HTML, headers=LATER),
}
FILES = {
    403: Answer(description="A pass phrase is needed.", contents=PLAIN),
    404: Answer(description="There is no such file, or it is not shared any more.", contents=PLAIN),
    503: Answer(description="The service is busy or away.", contents=PLAIN, headers=LATER),
}
UNLOCK = {
    303: Answer(description="To the share's page.", headers={"Location": "The page."}),
}

PART = Part(
    tag="Pages of shares",
    description="Links to an asset or a collection, for people. The link is the credential.",
    operations=(
        Operation(
            method="get",
            path="/s/{token}",
            operation_id="showShare",
            summary="Show a share's page",
            parameters=(
                TOKEN,
                Parameter(
                    name="asset",
                    where="query",
                    description="One file of a collection, by its SHA-256.",
                    schema={"type": "string"},
                ),
                Parameter(
                    name="page", where="query", description="From a link of the page.", schema={"type": "string"}
                ),
            ),
            answers={200: Answer(description="The page.", contents=HTML)} | PAGES,
            needs_key=False,
        ),
        Operation(
            method="get",
            path="/s/{token}/unlock",
            operation_id="returnToShare",
            summary="Go to a share's page",
            parameters=(TOKEN,),
            answers=UNLOCK | {404: PAGES[404]},
            needs_key=False,
        ),
        Operation(
            method="post",
            path="/s/{token}/unlock",
            operation_id="unlockShare",
            summary="Send the pass phrase of a share",
            description="A form of a browser. Sets a cookie that opens this share for an hour.",
            parameters=(TOKEN,),
            body=Body(
                contents={
                    "application/x-www-form-urlencoded": {
                        "type": "object",
                        "required": ["pass_phrase"],
                        "properties": {"pass_phrase": {"type": "string", "maxLength": 200}},
                    }
                },
                example={"pass_phrase": "open sesame"},
            ),
            answers=UNLOCK | PAGES,
            needs_key=False,
        ),
        Operation(
            method="get",
            path="/s/{token}/{digest}",
            operation_id="readSharedFile",
            summary="Read a file of a share",
            parameters=(TOKEN, DIGEST, SAVE, *RANGE_PARAMETERS),
            answers=file_answers("*/*") | FILES,
            needs_key=False,
        ),
        Operation(
            method="get",
            path="/s/{token}/{digest}/{variant}",
            operation_id="readSharedVariant",
            summary="Read a variant of a file of a share",
            parameters=(TOKEN, DIGEST, VARIANT, SAVE, *RANGE_PARAMETERS),
            answers=file_answers("*/*") | FILES,
            needs_key=False,
        ),
    ),
)
