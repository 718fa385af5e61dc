"""`/media/{token}`: what a signed URL names, so that browsers show it, seek in it and save it."""

import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import format_datetime
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from services.studio.api_error import ApiError
from services.studio.file_answer import File, FileAnswer
from services.studio.refusal import WRONG, of_failure, refusal
from services.studio.signed_assets import SignedAssets

TOKEN = re.compile(r"signed\.[A-Za-z0-9_-]{1,8000}\.[A-Za-z0-9_-]{1,100}")
"""Only what may be a signed URL's token goes to the API as a credential."""


@dataclass(frozen=True, slots=True)
class Media:
    """Answers GET and HEAD."""

    assets: SignedAssets
    files: FileAnswer

    async def answer(self, request: Request) -> Response:
        """Returns the response."""
        token = request.path_params["token"]
        if not TOKEN.fullmatch(token):
            return refusal(403, WRONG)
        try:
            found = await self.assets.find(token)
        except ApiError as error:
            return of_failure(error.failure)
        # A cache may keep it for as long as the URL holds.
        until = format_datetime(found.expire_time.ToDatetime(tzinfo=UTC), usegmt=True)
        file = File(
            digest=found.name.removeprefix("assets/"),
            variant=found.variant,
            size_bytes=found.size_bytes,
            media_type=found.media_type,
            download_name=found.download_name,
            headers={"Cache-Control": "private", "Expires": until},
        )
        return await self.files.answer(request, file, partial(self.assets.read, token), of_failure)
