"""The endpoint of a language model: where it is, and how it is called. Only its client, in llm.py, needs openai."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

RETRY_AFTER_S = 30.0
"""When to come again, where the endpoint does not say."""
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The address of a language model and how it is called."""

    url: str
    """Up to and with `/v1`, without a query."""
    model: str
    """Its name there."""
    key: Callable[[], str]
    """Returns the key that is used now; empty: none is needed."""
    timeout_s: float
    """For one call, from the first byte to the last."""
    connect_timeout_s: float
    """To be connected."""
    retries: int
    """Repeats of a call that may yet succeed."""
    max_tokens: int
    """Tokens that an answer may have, thoughts included."""
    max_tokens_field: str
    """`max_tokens`, or `max_completion_tokens` where the endpoint requires that."""
    json_mode: str
    """How JSON is requested: `object`, `schema`, or `off` for by the instructions alone."""
