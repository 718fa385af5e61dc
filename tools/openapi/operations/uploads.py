"""`/v1/uploads` and the contents of assets: files in both directions."""

from services.reasons import AssetReason, HttpReason, LibraryReason
from tools.openapi.message_schemas import Schema
from tools.openapi.operation import JSON, Answer, Body, Operation, Parameter, Part
from tools.openapi.operations.file_answers import BYTES, RANGE_PARAMETERS, file_answers
from tools.openapi.problems import OF_ALL, OF_PATHS, PROBLEM, Error, answers

DIGEST: Schema = {"type": "string", "examples": ["sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:"]}
BOOLEAN: Schema = {"type": "string", "enum": ["?0", "?1"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
UPLOAD = Parameter(
    name="upload", where="path", description="From `Location` of its first part.", schema={"type": "string"}
)
ASSET = Parameter(
    name="asset", where="path", description="The last part of the name `assets/{asset}`.", schema={"type": "string"}
)
COMPLETE = Parameter(
    name="Upload-Complete",
    where="header",
    description="`?1`: this request has the end of the file. `?0`: more follows.",
    schema=BOOLEAN,
)
CONTENT_DIGEST = Parameter(
    name="Content-Digest", where="header", description="Digest of the bytes of this request.", schema=DIGEST
)
DETAILS = tuple(
    Parameter(name=name, where="query", description=text, schema=schema)
    for name, text, schema in (
        ("title", "What the library calls it.", {"type": "string"}),
        ("description", "More for people.", {"type": "string"}),
        ("sourceModule", "Which part of a program it is of.", {"type": "string"}),
        (
            "tags",
            "Words to find it by; the parameter may come several times.",
            {"type": "array", "items": {"type": "string"}},
        ),
    )
)
PROGRESS = {
    "Upload-Complete": "Whether the whole file has arrived.",
    "Upload-Offset": "How many bytes have arrived.",
    "Upload-Length": "Bytes of the whole file.",
}
OF_UPLOADS = (
    Error(400, "The digest is not that of the bytes.", (AssetReason.CHECKSUM_MISMATCH, AssetReason.CHECKSUM_MALFORMED)),
    Error(
        400,
        "The lengths do not go together.",
        (HttpReason.UPLOAD_LENGTH_INCONSISTENT, HttpReason.UPLOAD_LENGTH_REQUIRED),
    ),
    Error(
        408, "The body stood still for too long. What has arrived of a file in parts is kept.", (HttpReason.BODY_SLOW,)
    ),
    Error(
        409, "These bytes are not the next ones; `Upload-Offset` says which are.", (AssetReason.UPLOAD_OFFSET_WRONG,)
    ),
    Error(413, "The file is too large.", (AssetReason.UPLOAD_TOO_LARGE,)),
    Error(
        415,
        "The file is of no type that is kept, or is encoded.",
        (AssetReason.MEDIA_TYPE_UNSUPPORTED, HttpReason.CONTENT_TYPE_UNSUPPORTED),
    ),
    Error(422, "The upload cannot go on in this state."),
    *OF_PATHS,
    *OF_ALL,
)
MADE = Answer(
    description="The asset.",
    contents={JSON: "i2v.v1.Asset"},
    headers={"Location": "Where the asset or the upload is."} | PROGRESS,
)
PART_TAKEN = "These bytes have arrived, and more are to come."
RANGES = file_answers("*/*") | {
    416: Answer(
        description=f"* `{HttpReason.RANGE_UNSATISFIABLE}`: The range begins behind the end of the file.",
        contents=PROBLEM,
        headers={"Content-Range": "`bytes */` and the size."},
    )
}
DOWNLOAD = Parameter(
    name="download",
    where="query",
    description="With it a browser saves the file, under this name.",
    schema={"type": "string"},
)

PART = Part(
    tag="Files",
    description=(
        "Pictures, sounds and videos as they are, in both directions. An upload in parts follows the draft of "
        "resumable uploads (draft-ietf-httpbis-resumable-upload), and a digest RFC 9530."
    ),
    operations=(
        Operation(
            method="post",
            path="/v1/uploads",
            operation_id="createUpload",
            summary="Upload a file",
            description=(
                "Takes a file, or with `Upload-Complete: ?0` its first part. The asset has the same name however "
                "often the same bytes are sent."
            ),
            parameters=(
                *DETAILS,
                COMPLETE,
                Parameter(
                    name="Upload-Length",
                    where="header",
                    description="Bytes of the whole file. Needed if more parts follow.",
                    schema=COUNT,
                ),
                Parameter(name="Repr-Digest", where="header", description="Digest of the whole file.", schema=DIGEST),
                CONTENT_DIGEST,
                Parameter(
                    name="Idempotency-Key",
                    where="header",
                    description="Names an upload in parts: the same key finds it again.",
                    schema={"type": "string", "minLength": 1, "maxLength": 255},
                ),
            ),
            body=Body(
                contents=dict.fromkeys(("image/png", "image/jpeg", "image/webp", "video/mp4", "audio/mpeg"), BYTES),
                file="picture.png",
            ),
            answers={201: MADE} | answers(OF_UPLOADS),
        ),
        Operation(
            method="get",
            path="/v1/uploads/{upload}",
            operation_id="getUpload",
            summary="Read how much of an upload has arrived",
            description="HEAD answers 204 with the headers. What has arrived is kept for a day.",
            parameters=(UPLOAD,),
            answers={200: Answer(description="The upload.", contents={JSON: "i2v.v1.WriteStatus"}, headers=PROGRESS)}
            | answers((*OF_PATHS, *OF_ALL)),
        ),
        Operation(
            method="patch",
            path="/v1/uploads/{upload}",
            operation_id="appendUpload",
            summary="Send the next part of a file",
            parameters=(
                UPLOAD,
                Parameter(
                    name="Upload-Offset",
                    where="header",
                    description="Where these bytes are in the file.",
                    schema=COUNT,
                    required=True,
                    example=1048576,
                ),
                Parameter(
                    name=COMPLETE.name,
                    where="header",
                    description=COMPLETE.description,
                    schema=BOOLEAN,
                    required=True,
                    example="?1",
                ),
                CONTENT_DIGEST,
            ),
            body=Body(contents={"application/partial-upload": BYTES}, file="rest.bin"),
            answers={
                201: MADE,
                204: Answer(description=PART_TAKEN, headers=PROGRESS),
            }
            | answers(OF_UPLOADS),
        ),
        Operation(
            method="get",
            path="/v1/assets/{asset}/content",
            operation_id="readAsset",
            summary="Download an asset",
            parameters=(ASSET, DOWNLOAD, *RANGE_PARAMETERS),
            answers=RANGES | answers((*OF_PATHS, *OF_ALL)),
        ),
        Operation(
            method="get",
            path="/v1/assets/{asset}/renditions/{variant}/content",
            operation_id="readRendition",
            summary="Download a variant of an asset",
            description="It is made if it is missing, which takes up to a few seconds.",
            parameters=(
                ASSET,
                Parameter(
                    name="variant", where="path", description="Such as `thumbnail-256`.", schema={"type": "string"}
                ),
                DOWNLOAD,
                *RANGE_PARAMETERS,
            ),
            answers=RANGES
            | answers(
                (
                    Error(422, "It cannot be made from this file.", (LibraryReason.RENDITION_FAILED,)),
                    *OF_PATHS,
                    *OF_ALL,
                )
            ),
        ),
    ),
)
