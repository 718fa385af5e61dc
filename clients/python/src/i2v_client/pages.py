"""Lists that come in pages."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any


async def each(
    call: Callable[[Any, Any], Awaitable[Any]], method: Any, request: Any, field: str
) -> AsyncGenerator[Any, None]:
    """Yields what is in a field of the answers, of all pages. `call` makes a call until it is answered.

    It copies the request, and raises what `call` raises.
    """
    asked = type(request)()
    asked.CopyFrom(request)
    while True:
        page = await call(method, asked)
        for message in getattr(page, field):
            yield message
        if not page.next_page_token:
            return
        asked.page_token = page.next_page_token
