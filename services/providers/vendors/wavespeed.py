"""WaveSpeed, by its REST API version 3.

Not by its SDK: that blocks a thread for each call, which a thousand tasks in one process cannot afford. What it knows
of the API (submit once, the terminal statuses, which errors of looks to repeat) is kept here.

Not in its documentation, and assumed: the HTTP status of each refusal (so the words are looked at too), that a task
which ends as `cancelled`, `timeout` or `deleted` may have been charged, and the words of a moderation. It has no way to
stop a task, and keeps nothing of ours by which one could be found; but its list of the last seven days can prove
absence, where it reaches back, newest first and without a gap, to a task from before the submission. An empty or a
short one proves nothing: it may lag, or be cut.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

from services.providers import task_failures
from services.providers.request_body import Inline, data_uri, file_body, json_body
from services.providers.task import Input, Role, Task
from services.providers.vendor import Charge, Facts, Failed, Finished, Found, Stop, Troubled, Working, promises
from services.providers.vendor_client import WHOLE, Answer, VendorClient, dig
from services.providers.vendor_model import MB, Model, Takes
from services.providers.vendors.vendor_options import Options

API = "/api/v3"
SEEDS = range(2**31)
PICTURES = ("image/png", "image/jpeg", "image/webp")
SOUNDS = ("audio/mpeg", "audio/wav", "audio/ogg", "audio/aac", "audio/flac", "audio/mp4")

MODELS: Mapping[str, Model] = {
    "wan-2.5": Model(
        path="alibaba/wan-2.5/image-to-video",
        prompt_characters=2000,
        negative_prompt_characters=500,
        durations_s=(5, 10),
        resolutions=("480p", "720p", "1080p"),
        seeds=SEEDS,
        prompt_expansion=True,
        inputs={
            Role.IMAGE: Takes(PICTURES, 10 * MB, required=True),
            Role.AUDIO: Takes(("audio/mpeg", "audio/wav"), 15 * MB),
        },
    ),
    "kandinsky-5-pro": Model(
        path="wavespeed-ai/kandinsky5-pro/image-to-video",
        prompt_characters=2000,
        durations_s=(5,),
        resolutions=("512p", "1024p"),
        inputs={Role.IMAGE: Takes(PICTURES, 10 * MB, required=True)},
    ),
    "kling-2.5-turbo-std": Model(
        path="kwaivgi/kling-v2.5-turbo-std/image-to-video",
        prompt_characters=2500,
        negative_prompt_characters=2500,
        durations_s=(5, 10),
        guidance=True,
        inputs={Role.IMAGE: Takes(("image/png", "image/jpeg"), 10 * MB, required=True)},
    ),
    "infinitetalk": Model(
        path="wavespeed-ai/infinitetalk",
        prompt_characters=2000,
        prompt_required=False,
        resolutions=("480p", "720p"),
        seeds=SEEDS,
        inputs={
            Role.IMAGE: Takes(PICTURES, 10 * MB, required=True),
            Role.AUDIO: Takes(SOUNDS, 50 * MB, required=True),
            Role.MASK: Takes(PICTURES, 10 * MB),
        },
        long=True,
    ),
}

MODERATION = ("moderation", "nsfw", "sensitive", "content policy", "content_policy", "safety", "inappropriate")
CREDIT = ("credit", "balance", "top up", "top-up", "topup")

ENDS = ("failed", "cancelled", "canceled", "timeout", "deleted")
"""The statuses that end a task without a video."""
PAGE = 100
PAGES = 10
AROUND = timedelta(minutes=10)
"""How far the vendor's clock may be from ours, and its list behind its tasks; our own way to the provider is in it."""
KEPT = timedelta(days=7)
NAME = re.compile(r"[\w./:-]{1,200}", re.ASCII)
"""What the name of a model may look like."""

Fields = dict[str, object]


class WaveSpeed:
    """See Vendor."""

    name = "wavespeed"
    models = MODELS
    can_cancel = False
    can_find = True
    has_webhooks = True
    refund_window_s: float | None = 3 * 3600.0

    def __init__(self, vendor_client: VendorClient, options: Options) -> None:
        self._vendor_client = vendor_client
        self._options = options
        self._missing = task_failures.Missing()
        self._longest = timedelta(seconds=WHOLE * (len(Role) * options.upload_s + options.submit_s))
        """What a submission may take, its uploads included."""

    async def submit(self, task: Task) -> str:
        """See Vendor."""
        fields = await self._fields(task)
        path = f"{API}/{MODELS[task.model].path}"
        if self._options.webhook_url:
            hook = f"{self._options.webhook_url.rstrip('/')}/{quote(task.submission_id, safe='')}"
            path += "?" + urlencode({"webhook": hook})
        answer = await self._vendor_client.pay(path, json_body(fields))
        ref = _accepted(answer)
        if _another(answer, ref, task.model):
            self._vendor_client.mixed_up("submit", ref, _named(answer))
            raise task_failures.no_answer(answer.status)
        return ref

    async def _fields(self, task: Task) -> Fields:
        # Kling alone has been seen to take base64 without what makes it a data URI.
        encoding = Inline if task.model == "kling-2.5-turbo-std" else data_uri
        image = await self._given(task.inputs[Role.IMAGE], encoding)
        match task.model:
            case "wan-2.5":
                fields: Fields = {
                    "image": image,
                    "prompt": task.prompt,
                    "resolution": task.resolution,
                    "duration": task.duration_s,
                    "enable_prompt_expansion": bool(task.prompt_expansion),
                    "negative_prompt": task.negative_prompt,
                    "seed": task.seed,
                }
            case "kandinsky-5-pro":
                fields = {
                    self._options.kandinsky_image_field: image,
                    "prompt": task.prompt,
                    "resolution": task.resolution,
                }
            case "kling-2.5-turbo-std":
                fields = {
                    "image": image,
                    "prompt": task.prompt,
                    "duration": task.duration_s,
                    "guidance_scale": 0.5 if task.guidance_scale is None else task.guidance_scale,
                    "negative_prompt": task.negative_prompt,
                }
            case _:
                fields = {
                    "image": image,
                    "resolution": task.resolution,
                    "prompt": task.prompt or None,
                    "seed": task.seed,
                }
        for role, key in ((Role.AUDIO, "audio"), (Role.MASK, "mask_image")):
            if role in task.inputs:
                fields[key] = await self._given(task.inputs[role])
        return {key: value for key, value in fields.items() if value is not None}

    async def _given(self, given: Input, inline: Callable[[Input], Inline] = data_uri) -> Inline | str:
        """Returns an input as the request has it: as base64, or when it is too large as the URL of its upload."""
        if given.size_bytes <= self._options.inline_bytes:
            return inline(given)
        name = f"input.{given.media_type.partition('/')[2]}"
        try:
            answer = await self._vendor_client.ask(
                "POST",
                f"{API}/media/upload/binary",
                kind="upload",
                body=file_body(given, name),
                timeout_s=self._options.upload_s,
            )
        except Troubled as trouble:
            raise task_failures.not_uploaded(trouble) from trouble
        url = answer.get("data", "download_url", kind=str)
        if task_failures.is_refusal(answer.status):
            raise _refused(answer, answer.status)
        if answer.status >= 400 or url is None or not url.startswith("http"):
            raise task_failures.not_uploaded()
        return url

    async def look(self, ref: str, model: str) -> Working | Finished:
        """See Vendor."""
        answer = await self._vendor_client.ask("GET", f"{API}/predictions/{ref}/result", kind="look")
        status = answer.get("data", "status", kind=str)
        if _another(answer, ref, model) or (status is not None and answer.get("data", "id", kind=str) is None):
            raise self._vendor_client.mixed_up("look", ref, _named(answer))
        if answer.status == 404:
            raise self._missing.unseen(ref)
        if task_failures.is_bad_key(answer.status, answer.get("message", kind=str) or ""):
            raise task_failures.key_refused()
        if answer.status != 200 or status is None:
            busy = answer.status == 429
            raise Troubled(f"HTTP {answer.status}", retry_delay_s=answer.retry_delay_s, down=not busy)
        self._missing.seen(ref)
        created = _time(answer.get("data", "created_at", kind=str))
        if status in ("created", "pending", "queued"):
            return Working("vendor-queue", created)
        if status in ENDS:
            raise _ended(status, answer.get("data", "error", kind=str) or answer.get("message", kind=str) or "")
        if status != "completed":
            return Working("vendor-work", created)
        url = answer.get("data", "outputs", 0, kind=str)
        if url is None:
            raise Troubled("completed without an output")
        return Finished(url, _facts(answer, created))

    async def stop(self, ref: str, model: str) -> Stop:
        """See Vendor. It cannot stop anything, so this only tells whether it has ended."""
        try:
            seen = await self.look(ref, model)
        except Failed as failed:
            if failed.resumable:  # A key that is refused, a task that seems gone: that says nothing of the task.
                raise Troubled(str(failed)) from failed
            return Stop.ENDED
        return Stop.ENDED if isinstance(seen, Finished) else Stop.GOES_ON

    async def find(self, model: str, submit_time: datetime, now: datetime) -> Found:
        """See Vendor. Its list has no word of ours, so it can only prove that there is no task at all."""
        # Earlier than that it may still be submitted, by another process.
        if not submit_time + self._longest + AROUND < now < submit_time + KEPT - AROUND:
            return Found(None)
        begin, before = submit_time - AROUND, datetime.max.replace(tzinfo=UTC)
        # A name that we do not know may be another spelling of this one.
        others = {other.path for other in MODELS.values()} - {MODELS[model].path}
        for page in range(1, PAGES + 1):
            items = await self._listed(page)
            for name, time in items:
                # Out of order, what is older does not tell that nothing newer follows.
                if time is None or name is None or time > before:
                    return Found(None)
                if time >= begin and name not in others:
                    return Found(None)
                before = time
            if before < begin:
                return Found(None, certain=True)
            if len(items) != PAGE:
                # Its end, or the vendor's own size of a page: then the next one begins we do not know where.
                return Found(None)
        return Found(None)

    async def _listed(self, page: int) -> list[tuple[str | None, datetime | None]]:
        """Returns model and time of each task on a page of the vendor's list. Raises Troubled."""
        body = json_body({"page": page, "page_size": PAGE})
        answer = await self._vendor_client.ask("POST", f"{API}/predictions", kind="find", body=body)
        items = answer.get("data", "items", kind=list)
        if answer.status != 200 or items is None:
            raise Troubled(f"HTTP {answer.status}", retry_delay_s=answer.retry_delay_s)
        if (named := answer.get("data", "page", kind=int)) not in (None, page):
            raise self._vendor_client.mixed_up("find", "", f"page {named}")
        return [(dig(item, "model", kind=str), _time(dig(item, "created_at", kind=str))) for item in items]

    async def webhook_secret(self) -> str:
        """See Vendor."""
        answer = await self._vendor_client.ask("GET", f"{API}/webhook/secret", kind="webhook")
        secret = (answer.get("data", "secret", kind=str) or answer.get("data", kind=str) or "").removeprefix("whsec_")
        if answer.status != 200 or not secret:
            raise Troubled(f"HTTP {answer.status}", retry_delay_s=answer.retry_delay_s)
        return secret


def _accepted(answer: Answer) -> str:
    """Returns the id of what was accepted. Raises Failed for each other way in which a submission can end."""
    code, well = answer.get("code", kind=int), 200 <= answer.status < 300
    ref = task_failures.accepted(answer.get("data", "id", kind=str))
    if well and ref is not None:
        return ref
    if task_failures.is_refusal(answer.status):
        raise _refused(answer, answer.status)
    if well and code is not None and task_failures.is_refusal(code) and answer.get("data", "id", kind=str) is None:
        raise _refused(answer, code)  # The envelope has the refusal.
    raise task_failures.broke_down(answer.status) if answer.status >= 500 else task_failures.no_answer(answer.status)


def _another(answer: Answer, ref: str, model: str) -> bool:
    """Whether an answer names another task, or another model than that of the task."""
    id_, name = _named(answer)
    return id_ not in (None, ref) or name not in (None, "", MODELS[model].path)


def _named(answer: Answer) -> tuple[str | None, str | None]:
    """Returns the id and the model of the task that an answer names."""
    return answer.get("data", "id", kind=str), answer.get("data", "model", kind=str)


def _refused(answer: Answer, status: int) -> Failed:
    words = answer.get("message", kind=str) or answer.get("data", "error", kind=str) or ""
    return task_failures.refused(
        status,
        words,
        answer.retry_delay_s,
        credit=status != 429 and any(word in words.lower() for word in CREDIT),
        moderation=_is_moderation(words),
    )


def _is_moderation(words: str) -> bool:
    return any(word in words.lower() for word in MODERATION)


def _ended(status: str, words: str) -> Failed:
    """Returns what a status that ends a task without a video means."""
    match status:
        case "failed":
            # Failed requests are refunded by themselves within three hours, says the documentation.
            if _is_moderation(words):
                return task_failures.moderated(words, Charge.NOT_CHARGED)
            return task_failures.failed(words, Charge.NOT_CHARGED)
        case "timeout":
            return task_failures.failed("it ran out of time", Charge.UNKNOWN)
        case "deleted":
            return task_failures.gone()
        case _:
            return task_failures.cancelled()


def _facts(answer: Answer, created: datetime | None) -> Facts:
    milliseconds = answer.get("data", "timings", "inference", kind=int)
    name = answer.get("data", "model", kind=str)
    metadata = answer.get("data", "metadata", kind=dict) or {}
    return Facts(
        model=name if name is not None and NAME.fullmatch(name) else "",
        create_time=created,
        inference_s=milliseconds / 1000 if milliseconds is not None and 0 <= milliseconds < 10**9 else None,
        nsfw=answer.get("data", "has_nsfw_contents", 0, kind=bool),
        promised=promises(metadata),
    )


def _time(text: str | None) -> datetime | None:
    """Returns an ISO time; it has nanoseconds, of which we keep what we can."""
    try:
        found = datetime.fromisoformat(text or "")
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # the first and the last hours of all years have no UTC
        return None
