"""StreamRoutes: the paths of streams, their methods, and the statuses that each may answer with."""

from dataclasses import dataclass

from starlette.routing import Route

from services.studio.resource import Resource
from services.studio.streams.download_routes import DownloadRoutes
from services.studio.streams.event_routes import EventRoutes
from services.studio.streams.lingering import Lingering
from services.studio.streams.upload_routes import UploadRoutes


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation, for the document of the API. GET also answers HEAD."""

    method: str
    path: str
    statuses: tuple[int, ...]
    """Besides those of any refusal: 400, 401, 403, 404, 429, 500, 503 and 504."""
    summary: str


_JOB_EVENTS, _USAGE_EVENTS = "/v1/jobs/{job}/events", "/v1/usage/events"
_CONTENT = "/v1/assets/{asset}/content"
_RENDITION = "/v1/assets/{asset}/renditions/{variant}/content"
_UPLOADS, _UPLOAD = "/v1/uploads", "/v1/uploads/{upload}"

OPERATIONS = (
    Operation("GET", _JOB_EVENTS, (200, 204), "Sends a job's events as they happen."),
    Operation("GET", _USAGE_EVENTS, (200,), "Sends the state of the caller's limits and its changes."),
    Operation("GET", _CONTENT, (200, 206, 304, 416), "Returns the bytes of an asset."),
    Operation("GET", _RENDITION, (200, 206, 304, 416, 422), "Returns the bytes of a variant of an asset."),
    Operation("POST", _UPLOADS, (201, 408, 409, 413, 415, 422), "Takes a file, or begins one in parts."),
    Operation("GET", _UPLOAD, (200,), "Returns how much of an upload has arrived; HEAD: 204."),
    Operation("PATCH", _UPLOAD, (201, 204, 408, 409, 413, 415, 422), "Takes the next bytes of a file."),
)


@dataclass(frozen=True, slots=True)
class StreamRoutes:
    """What is answered."""

    events: EventRoutes
    uploads: UploadRoutes
    downloads: DownloadRoutes

    def routes(self) -> list[Route]:
        """Returns the paths."""
        uploads = Resource({"POST": self.uploads.create})
        upload = Resource({"GET": self.uploads.state, "PATCH": self.uploads.append})
        return [
            Route(_JOB_EVENTS, Resource({"GET": self.events.of_job})),
            Route(_USAGE_EVENTS, Resource({"GET": self.events.of_usage})),
            Route(_CONTENT, Resource({"GET": self.downloads.content})),
            Route(_RENDITION, Resource({"GET": self.downloads.rendition})),
            Route(_UPLOADS, Lingering(uploads)),
            Route(_UPLOAD, Lingering(upload)),
        ]
