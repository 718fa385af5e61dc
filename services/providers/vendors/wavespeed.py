"""WaveSpeed, by its REST API version 3.

Not by its SDK: that blocks a thread for each call, which is too much for a thousand tasks in one process. Its knowledge
of the API (submit once, the terminal statuses, which errors of polls to repeat) is kept here.

Not in its documentation, and assumed: the HTTP status of each refusal (so the text is read too), that a task
which ends as `cancelled`, `timeout` or `deleted` may have been charged, and the texts of a moderation. It cannot
stop a task, and keeps no id of ours; but its list of the last seven days can prove absence, where it reaches back,
newest first and without a gap, to a task from before the submission. An empty or a short list proves nothing: it may
lag, or be cut.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

from services.providers import task_failures
from services.providers.request_body import Inline, data_uri, file_body, json_body
from services.providers.task import Input, Role, Task
from services.providers.vendor import Failed, Finished, Found, Stop, VendorRequestFailed, Working
from services.providers.vendor_client import TOTAL_FACTOR, VendorClient, dig
from services.providers.vendors import wavespeed_answers as answers
from services.providers.vendors.vendor_options import Options
from services.providers.vendors.wavespeed_model_limits import MODELS

API = "/api/v3"
PAGE = 100
PAGES = 10
TOLERANCE = timedelta(minutes=10)
"""How far the vendor's clock may differ from ours, and its list lag behind its tasks, our own delay included."""
KEPT = timedelta(days=7)

Fields = dict[str, object]


class WaveSpeed:
    """The vendor WaveSpeed."""

    name = "wavespeed"
    models = MODELS
    can_cancel = False
    can_find = True
    has_webhooks = True
    refund_window_s: float | None = 3 * 3600.0

    def __init__(self, vendor_client: VendorClient, options: Options) -> None:
        self._vendor_client = vendor_client
        self._options = options
        self._missing = task_failures.Missing(missing_s=options.missing_s)
        self._longest = timedelta(seconds=TOTAL_FACTOR * (len(Role) * options.upload_s + options.submit_s))
        """The longest that a submission can take, its uploads included."""

    async def submit(self, task: Task) -> str:
        """Uploads the large inputs, then submits the task."""
        fields = await self._fields(task)
        path = f"{API}/{MODELS[task.model].path}"
        if self._options.webhook_url:
            hook = f"{self._options.webhook_url.rstrip('/')}/{quote(task.submission_id, safe='')}"
            path += "?" + urlencode({"webhook": hook})
        answer = await self._vendor_client.pay(path, json_body(fields))
        ref = answers.accepted(answer)
        if answers.is_for_another(answer, ref, task.model):
            self._vendor_client.mixed_up("submit", ref, answers.named(answer))
            raise task_failures.no_answer(answer.status)
        return ref

    async def _fields(self, task: Task) -> Fields:
        # Kling alone takes base64 without the prefix of a data URI.
        encoding = Inline if task.model == "kling-2.5-turbo-std" else data_uri
        image = await self._input_value(task.inputs[Role.IMAGE], encoding)
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
                fields[key] = await self._input_value(task.inputs[role])
        return {key: value for key, value in fields.items() if value is not None}

    async def _input_value(self, given: Input, inline: Callable[[Input], Inline] = data_uri) -> Inline | str:
        """Returns an input's value in the request: base64, or the URL of its upload if it is large."""
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
                template=f"{API}/media/upload/binary",
            )
        except VendorRequestFailed as failed:
            raise task_failures.not_uploaded(failed) from failed
        url = answer.get("data", "download_url", kind=str)
        if task_failures.is_refusal(answer.status):
            raise answers.refused(answer, answer.status)
        if answer.status >= 400 or url is None or not url.startswith("http"):
            raise task_failures.not_uploaded()
        return url

    async def look(self, ref: str, model: str) -> Working | Finished:
        """Requests the result of a task."""
        answer = await self._vendor_client.ask(
            "GET", f"{API}/predictions/{ref}/result", kind="look", template=f"{API}/predictions/{{task}}/result"
        )
        status = answer.get("data", "status", kind=str)
        if answers.is_for_another(answer, ref, model) or (
            status is not None and answer.get("data", "id", kind=str) is None
        ):
            raise self._vendor_client.mixed_up("look", ref, answers.named(answer))
        if answer.status == 404:
            raise self._missing.unseen(ref)
        if task_failures.is_bad_key(answer.status, answer.get("message", kind=str) or ""):
            raise task_failures.key_refused()
        if answer.status != 200 or status is None:
            busy = answer.status == 429
            raise VendorRequestFailed(f"HTTP {answer.status}", retry_delay_s=answer.retry_delay_s, down=not busy)
        self._missing.seen(ref)
        created = answers.time_of(answer.get("data", "created_at", kind=str))
        if status in ("created", "pending", "queued"):
            return Working("vendor-queue", created)
        if status in answers.ENDS:
            raise answers.ended(status, answer.get("data", "error", kind=str) or answer.get("message", kind=str) or "")
        if status != "completed":
            return Working("vendor-work", created)
        url = answer.get("data", "outputs", 0, kind=str)
        if url is None:
            raise VendorRequestFailed("completed without an output")
        return Finished(url, answers.facts(answer, created))

    async def stop(self, ref: str, model: str) -> Stop:
        """Returns whether the task has ended: this vendor cannot stop one."""
        try:
            seen = await self.look(ref, model)
        except Failed as failed:
            if failed.resumable:  # The key was refused, or the task seems gone: its state is unknown.
                raise VendorRequestFailed(str(failed)) from failed
            return Stop.ENDED
        return Stop.ENDED if isinstance(seen, Finished) else Stop.GOES_ON

    async def find(self, model: str, submit_time: datetime, now: datetime) -> Found:
        """Searches the list of tasks. It has no id of ours, so it can only prove that there is no task at all."""
        # Earlier than that it may still be submitted, by another process.
        if not submit_time + self._longest + TOLERANCE < now < submit_time + KEPT - TOLERANCE:
            return Found(None)
        begin, before = submit_time - TOLERANCE, datetime.max.replace(tzinfo=UTC)
        # An unknown name may be another spelling of this one.
        others = {other.path for other in MODELS.values()} - {MODELS[model].path}
        for page in range(1, PAGES + 1):
            items = await self._listed(page)
            for name, time in items:
                # Out of order: newer tasks may follow an older one.
                if time is None or name is None or time > before:
                    return Found(None)
                if time >= begin and name not in others:
                    return Found(None)
                before = time
            if before < begin:
                return Found(None, certain=True)
            if len(items) != PAGE:
                # The end, or the vendor's own size of a page: then the start of the next page is unknown.
                return Found(None)
        return Found(None)

    async def _listed(self, page: int) -> list[tuple[str | None, datetime | None]]:
        """Returns model and time of each task on a page of the vendor's list. Raises VendorRequestFailed."""
        body = json_body({"page": page, "page_size": PAGE})
        answer = await self._vendor_client.ask(
            "POST", f"{API}/predictions", kind="find", body=body, template=f"{API}/predictions"
        )
        items = answer.get("data", "items", kind=list)
        if answer.status != 200 or items is None:
            raise VendorRequestFailed(f"HTTP {answer.status}", retry_delay_s=answer.retry_delay_s)
        if (named := answer.get("data", "page", kind=int)) not in (None, page):
            raise self._vendor_client.mixed_up("find", "", f"page {named}")
        return [(dig(item, "model", kind=str), answers.time_of(dig(item, "created_at", kind=str))) for item in items]

    async def webhook_secret(self) -> str:
        """Requests the secret."""
        answer = await self._vendor_client.ask(
            "GET", f"{API}/webhook/secret", kind="webhook", template=f"{API}/webhook/secret"
        )
        secret = (answer.get("data", "secret", kind=str) or answer.get("data", kind=str) or "").removeprefix("whsec_")
        if answer.status != 200 or not secret:
            raise VendorRequestFailed(f"HTTP {answer.status}", retry_delay_s=answer.retry_delay_s)
        return secret
