"""Small forms that a browser sends by POST."""

import asyncio
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request

BYTES_MOST, FIELDS_MOST, SECONDS_MOST = 4096, 4, 10.0
TYPE = "application/x-www-form-urlencoded"


class BadFormError(Exception):
    """What came is no small form."""


async def fields(request: Request, *, most: int = BYTES_MOST) -> dict[str, str]:
    """Returns the fields of a form, the first of each name. `most`: its bytes. Raises BadFormError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != TYPE:
        raise BadFormError
    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS_MOST):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise BadFormError
        found = parse_qs(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MOST, separator="&"
        )
    except (TimeoutError, ClientDisconnect, ValueError) as error:
        raise BadFormError from error
    return {name: values[0] for name, values in found.items()}
