"""`/openapi.json` and `/docs`: this description itself."""

from tools.openapi.operation import JSON, Answer, Operation, Parameter, Part

KNOWN = Parameter(
    name="If-None-Match",
    where="header",
    description="The ETag that the client has. If it is still the same, the answer is 304.",
    schema={"type": "string"},
)
SAME = {304: Answer(description="The client has it.", headers={"ETag": "Changes with the description."})}
HTML = {"text/html": {"type": "string"}}
TAG = {"ETag": "Changes with the description."}

PART = Part(
    tag="Description",
    description="This description, for programs and for people.",
    operations=(
        Operation(
            method="get",
            path="/openapi.json",
            operation_id="getOpenApi",
            summary="Read this document",
            parameters=(KNOWN,),
            answers={200: Answer(description="OpenAPI 3.1.", contents={JSON: {"type": "object"}}, headers=TAG)} | SAME,
            needs_key=False,
        ),
        Operation(
            method="get",
            path="/docs",
            operation_id="getDocs",
            summary="Read it as a page",
            parameters=(KNOWN,),
            answers={200: Answer(description="The page.", contents=HTML, headers=TAG)} | SAME,
            needs_key=False,
        ),
    ),
)
