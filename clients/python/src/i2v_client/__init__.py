"""The client of i2v, which turns pictures into videos. `AsyncClient` for asyncio, `Client` for programs without it.

Reading order: failure, errors, retry, service_channel, async_client; then client, which is the same with methods that
wait. Requests and answers are the messages of the package `i2v.v1`, which is part of this distribution.
"""

from i2v_client.async_client import AsyncClient
from i2v_client.client import Client
from i2v_client.errors import (
    Busy,
    Conflict,
    I2VError,
    InvalidRequest,
    NotFound,
    QuotaExceeded,
    Unauthenticated,
    Unreachable,
)
from i2v_client.failure import Failure, LimitViolation, Violation
from i2v_client.job_spec import job_spec
from i2v_client.tls_files import TlsFiles
from i2v_client.upload_files import Upload
from i2v_client.watches import ENDED
from i2v_client.webhook_verification import InvalidWebhook, WebhookEvent, verify_webhook

__all__ = [
    "ENDED",
    "AsyncClient",
    "Busy",
    "Client",
    "Conflict",
    "Failure",
    "I2VError",
    "InvalidRequest",
    "InvalidWebhook",
    "LimitViolation",
    "NotFound",
    "QuotaExceeded",
    "TlsFiles",
    "Unauthenticated",
    "Unreachable",
    "Upload",
    "Violation",
    "WebhookEvent",
    "job_spec",
    "verify_webhook",
]
