"""What an S3 store's failures become: Unavailable with the store's own word for it, never with a credential."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree.ElementTree import ParseError

import urllib3
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from services.errors import Unavailable
from services.reasons import ServiceReason
from services.resource_shortage import shortage


@contextmanager
def failures(where: str) -> Iterator[None]:
    """Raises Unavailable for what goes wrong within, on the way or at the store at `where`."""
    try:
        yield
    except MinioException as error:
        raise unavailable(where, code(error) or f"HTTP status {status(error)}") from error
    except (urllib3.exceptions.HTTPError, OSError, ParseError, UnicodeDecodeError) as error:
        if (lacking := shortage(error)) is not None:
            raise lacking from error
        raise unavailable(where, type(error).__name__) from error


def unavailable(where: str, what: str) -> Unavailable:
    """Returns the error of a store that does not work."""
    return Unavailable(f"The blob store at {where} does not work: {what}.", reason=ServiceReason.BLOBS_UNAVAILABLE)


def status(error: MinioException) -> int | None:
    """Returns the HTTP status of an error, if it has one."""
    if isinstance(error, S3Error):
        return int(error.response.status)
    if isinstance(error, InvalidResponseError):
        return int(error._code)
    return error.status_code if isinstance(error, ServerError) else None


def code(error: MinioException) -> str:
    """Returns S3's word for what is wrong, if there is one."""
    if isinstance(error, S3Error):
        return error.code or ""
    # Some servers, rclone for one, send their errors as text/xml, which the client does not read.
    body = error._body if isinstance(error, InvalidResponseError) else None
    found = re.search(r"<Code>(\w{1,64})</Code>", body or "")
    return found[1] if found else ""


def is_absent(error: MinioException) -> bool:
    """Whether nothing is stored under the key; a missing bucket is another error."""
    return status(error) == 404 and code(error) != "NoSuchBucket"
