"""`/v1/videos/{id}/live.m3u8` and what it names: live playback."""

from services.reasons import AccessReason, AssetReason, HttpReason
from services.studio.live.playlists import MEDIA_TYPE
from tools.openapi.operation import JSON, Answer, Operation, Parameter, Part
from tools.openapi.operations.file_answers import RANGE_PARAMETERS, file_answers
from tools.openapi.operations.openai_errors import READ, errors
from tools.openapi.operations.videos import ID

REFUSED = {JSON: {"$ref": "#/components/schemas/OpenAIError"}}
OF_TOKENS = {
    403: Answer(
        description=f"The token was altered, or is missing (`{AccessReason.SIGNED_URL_WRONG}`).", contents=REFUSED
    ),
    410: Answer(description=f"The URL has expired (`{AccessReason.SIGNED_URL_EXPIRED}`).", contents=REFUSED),
    422: Answer(
        description=f"The job has no fragments and gets none (`{AssetReason.LIVE_UNAVAILABLE}`).", contents=REFUSED
    ),
}
PLAYLIST = {MEDIA_TYPE: {"type": "string"}}
TOKEN = "From the URLs of the playlist, or of `signLiveUrl` of a job. It is the credential: players need no header."

PART = Part(
    tag="Live playback",
    description="HTTP Live Streaming of a video while it is made, for any player.",
    operations=(
        Operation(
            method="get",
            path="/v1/videos/{id}/live.m3u8",
            operation_id="playLive",
            summary="Play a video while it is made",
            description=(
                "The playlist, for hls.js, Safari, VLC or FFmpeg. It grows while the job runs and is complete at its "
                "end. A request waits up to ten seconds for the first fragment. With a key its URLs are signed for "
                "this video; with a token it needs no key."
            ),
            parameters=(ID, Parameter(name="token", where="query", description=TOKEN, schema={"type": "string"})),
            answers={200: Answer(description="The playlist.", contents=PLAYLIST)}
            | errors(*READ)
            | OF_TOKENS
            | {
                503: Answer(
                    description=(
                        f"There is no fragment yet (`{HttpReason.LIVE_PENDING}`), or the service is busy or away. "
                        "Repeat after `Retry-After`."
                    ),
                    contents=REFUSED,
                    headers={"Retry-After": "Seconds until a repeat may succeed."},
                )
            },
        ),
        Operation(
            method="get",
            path="/v1/videos/{id}/live/{take}/{name}",
            operation_id="readLivePart",
            summary="Read a part of live playback",
            description="A media playlist or a segment. Players follow the URLs of the playlist; do not make them.",
            parameters=(
                ID,
                Parameter(name="take", where="path", description="From the playlist.", schema={"type": "string"}),
                Parameter(
                    name="name",
                    where="path",
                    description="From the playlist.",
                    schema={"type": "string"},
                    example="video.m3u8",
                ),
                Parameter(
                    name="token",
                    where="query",
                    description=TOKEN,
                    schema={"type": "string"},
                    required=True,
                    example="live.…",
                ),
                *RANGE_PARAMETERS,
            ),
            answers=file_answers(MEDIA_TYPE, "video/mp4") | errors(*READ) | OF_TOKENS,
            needs_key=False,
        ),
    ),
)
