"""What a simulated vendor does with the next tasks."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True)
class Scenario:
    """The default is a vendor that works."""

    queue_s: float = 0.0
    """How long a task waits."""
    work_s: float = 0.0
    """How long it is worked on after that."""
    stay: str = ""
    """`queue` or `work`: it stays there until `release` of the simulator is called."""
    submit: str = ""
    """The results of submissions: `refused` (with `status`), `moderation`, `bad-key`, `no-credit`, `lost` (taken, and
    the connection is cut instead of an answer), `hang` (taken, no answer), `hold` (no answer before its release),
    `half` (taken, half of an answer), `garbage`, `no-id`, `bad-id`, `types`, `deep`, `huge`, `envelope` (a refusal
    with HTTP 200), `same-id` (the id of the task before), `other-model` (another model than requested)."""
    status: int = 0
    """HTTP status of refusals."""
    retry_after: str = ""
    """Header of refusals and of faulty polls."""
    words: str = ""
    """Of a refusal or a failed task."""
    encoding: str = ""
    """Of a refusal's body, if not JSON's own; `raw` is UTF-8 with halves of characters in it."""
    polls: list[str] = field(default_factory=list)
    """The results of the next polls, one each: nothing (empty), a status such as `500`, or `lost`, `hang`, `garbage`,
    `deep`, `huge`, `types`, or the answer for another task: `no-id`, `other-task` or `other-failed` (which is done, or
    has failed), `other-model`."""
    upload: int = 0
    """HTTP status that refuses uploads."""
    secret: int = 0
    """HTTP status with which requests for the webhook secret are refused."""
    listed: str = ""
    """What is wrong with the list of tasks: `capped` (pages of two at most), `reversed`, `empty`, `garbage` (no
    times), `other-page` (it says that it is another page)."""
    end: str = "completed"
    """`completed`, `failed`, `moderation`, `cancelled`, `timeout`, `deleted`, `no-output`."""
    output: str = ""
    """What is wrong with the video: a status such as `403`, `stall`, `cut` (always), `cut-once`, `cut-no-range`,
    `no-range`, `changed`, `no-video`, `empty`, `huge`, `private`, `redirect`, `elsewhere`, `file`, `no-name`,
    `packed`, `slow`, or `lost` (no answer)."""
    outputs: list[str] = field(default_factory=list)
    """The same of the next requests for the video, one each."""
    video_s: float | None = None
    """Length of the video, when it is not the requested one."""
    padding_bytes: int = 0
    """What the video has behind its end, in a box that players pass over: to make it large. At least 8."""
    bytes_s: int = 0
    """Bytes a second at which the video is sent; 0: as fast as possible."""
    silent: bool = False
    """No sound, though there should be some."""

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Scenario":
        """Returns a scenario of plain values. Raises ValueError at an unknown one."""
        known = {each.name for each in dataclasses.fields(cls)}
        if unknown := set(values) - known:
            raise ValueError(f"there is no {min(unknown)}")
        return cls(**values)
