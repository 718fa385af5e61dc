"""Reasons of events over Socket.IO."""

from services.reasons.reason import Advice, Code, Reason


class SocketReason(Reason):
    """Why an event over Socket.IO, or a connection, is refused."""

    EVENT_UNKNOWN = "EVENT_UNKNOWN", "There is no such event; docs/socket.md lists what there is."
    EVENT_MALFORMED = "EVENT_MALFORMED", "An event has a name, and one object with its fields."
    EVENTS_TOO_FAST = (
        "EVENTS_TOO_FAST",
        "More events came than are taken. This one was dropped; a connection that goes on is closed.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    SOCKETS_FULL = (
        "SOCKETS_FULL",
        "The server has as many connections as it takes. Connect again later.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    CALLER_SOCKETS_FULL = (
        "CALLER_SOCKETS_FULL",
        "You have as many connections as one caller may have. Close some of them.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    SOCKET_JOBS_FULL = (
        "SOCKET_JOBS_FULL",
        "You follow as many running jobs over Socket.IO as one caller may. Wait until one ends.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    PICTURE_REQUIRED = "PICTURE_REQUIRED", "The mode `i2v` needs a picture: send `upload_image` first."
    NOTHING_TO_STOP = (
        "NOTHING_TO_STOP",
        "This connection has started no job that still runs. Name one by its `job_id`.",
        Code.FAILED_PRECONDITION,
    )
    FRAMES_UNREADABLE = (
        "FRAMES_UNREADABLE",
        "A part of the video could not be shown as pictures. The job goes on, and its video is not affected.",
        Code.INTERNAL,
        Advice.OPERATORS,
    )
