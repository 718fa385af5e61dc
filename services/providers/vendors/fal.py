"""fal, by its queue API.

Not by its client, whose submit repeats a request that may have been accepted. Addresses are built from the model's name
and the task's id, as the documentation describes them, rather than taken from the answer: our key goes with each.

Its rules of money: a server error is never charged, an input that is refused late (422) may be, and a task that is
removed from the queue has not run. Not in its documentation, and assumed: the status of a removed task, and how long a
result is kept. Its webhooks are signed with Ed25519 keys and are not used.
"""

import re
from collections.abc import Mapping
from datetime import datetime

from services.providers import task_failures
from services.providers.request_body import Inline, data_uri, json_body, raw_body
from services.providers.task import Input, Role, Task
from services.providers.vendor import (
    Charge,
    Facts,
    Failed,
    Finished,
    Found,
    Stop,
    VendorRequestFailed,
    Working,
    promises,
)
from services.providers.vendor_client import Answer, VendorClient
from services.providers.vendor_model import MB, InputLimits, Model
from services.providers.vendors.vendor_options import Options

STORAGE = "https://rest.fal.ai"
PICTURES = ("image/png", "image/jpeg", "image/webp")

MODELS: Mapping[str, Model] = {
    "wan-2.5": Model(
        path="fal-ai/wan-25-preview/image-to-video",
        prompt_characters=800,
        negative_prompt_characters=500,
        durations_s=(5, 10),
        resolutions=("480p", "720p", "1080p"),
        seeds=range(2**31),
        prompt_expansion=True,
        inputs={
            Role.IMAGE: InputLimits(PICTURES, 10 * MB, required=True),
            Role.AUDIO: InputLimits(("audio/mpeg", "audio/wav"), 15 * MB),
        },
    ),
}

HEADERS = {
    # Otherwise another model may answer, at another price.
    "x-app-fal-disable-fallback": "true",
}
ERROR_TYPE = "x-fal-error-type"
TASK = "/{owner}/{app}/requests/{task}"
"""The path of a task, for traces."""
IN_URL = re.compile(r"/[^/]+/[^/]+/requests/[^/?#]+")
CANCELLATIONS = ("request_cancelled", "request_canceled", "cancelled", "canceled", "client_cancelled")


class Fal:
    """The vendor fal."""

    name = "fal"
    models = MODELS
    can_cancel = True
    can_find = False
    has_webhooks = False
    refund_window_s: float | None = None

    def __init__(self, vendor_client: VendorClient, options: Options) -> None:
        self._vendor_client = vendor_client
        self._options = options
        self._missing = task_failures.Missing(missing_s=options.missing_s)

    async def submit(self, task: Task) -> str:
        """Uploads the large inputs, then submits the task."""
        fields: dict[str, object] = {
            "prompt": task.prompt,
            "image_url": await self._image(task.inputs[Role.IMAGE]),
            "resolution": task.resolution,
            "duration": str(task.duration_s),
            "enable_prompt_expansion": bool(task.prompt_expansion),
            "negative_prompt": task.negative_prompt,
            "seed": task.seed,
        }
        if Role.AUDIO in task.inputs:
            # "Must be publicly accessible": a data URI is offered for the picture only.
            fields["audio_url"] = await self._uploaded(task.inputs[Role.AUDIO])
        given = {key: value for key, value in fields.items() if value is not None}
        answer = await self._vendor_client.pay(f"/{MODELS[task.model].path}", json_body(given), HEADERS)
        ref = _accepted(answer)
        if (named := _named(answer, task.model)) != {_request(ref, task.model)}:
            self._vendor_client.mixed_up("submit", ref, named)
            raise task_failures.no_answer(answer.status)
        return ref

    async def _image(self, given: Input) -> Inline | str:
        return data_uri(given) if given.size_bytes <= self._options.inline_bytes else await self._uploaded(given)

    async def _uploaded(self, given: Input) -> str:
        """Returns the URL of an input after its upload, which takes two requests and costs nothing."""
        storage = (self._options.upload_url or STORAGE).rstrip("/")
        name = f"input.{given.media_type.partition('/')[2]}"
        upload_request = json_body({"file_name": name, "content_type": given.media_type})
        try:
            ticket = await self._vendor_client.ask(
                "POST",
                f"{storage}/storage/upload/initiate?storage_type=fal-cdn-v3",
                kind="upload",
                body=upload_request,
                template="/storage/upload/initiate",
            )
            url, target = ticket.get("file_url", kind=str), ticket.get("upload_url", kind=str)
            if task_failures.is_refusal(ticket.status):
                raise _refused(ticket)
            if ticket.status >= 400 or url is None or target is None or not target.startswith("http"):
                raise task_failures.not_uploaded()
            sent = await self._vendor_client.ask(
                "PUT",
                target,
                kind="upload",
                body=raw_body(given),
                timeout_s=self._options.upload_s,
                with_key=False,
                template="/{upload}",
            )
        except VendorRequestFailed as failed:
            raise task_failures.not_uploaded(failed) from failed
        if sent.status >= 300:
            raise task_failures.not_uploaded()
        return url

    async def look(self, ref: str, model: str) -> Working | Finished:
        """Requests the status of a task, and the result of one that has ended."""
        answer = await self._vendor_client.ask(
            "GET", f"{_request(ref, model)}/status", kind="look", template=f"{TASK}/status"
        )
        status = answer.get("status", kind=str)
        self._check_own("look", answer, ref, model, nameless=status is None)
        if answer.status == 404:
            raise self._missing.unseen(ref)
        if task_failures.is_bad_key(answer.status, _words(answer)):
            raise task_failures.key_refused()
        if answer.status not in (200, 202) or status is None:
            busy = answer.status == 429
            raise VendorRequestFailed(f"HTTP {answer.status}", retry_delay_s=answer.retry_delay_s, down=not busy)
        self._missing.seen(ref)
        if status == "IN_QUEUE":
            return Working("vendor-queue")
        if status in ("CANCELLED", "CANCELED"):
            raise task_failures.cancelled()
        if status != "COMPLETED":
            return Working("vendor-work")
        kind = answer.get("error_type", kind=str)
        if kind in CANCELLATIONS:
            raise task_failures.cancelled()
        return await self._result(ref, model, answer)

    async def _result(self, ref: str, model: str, status: Answer) -> Finished:
        answer = await self._vendor_client.ask("GET", _request(ref, model), kind="look", template=TASK)
        self._check_own("look", answer, ref, model)
        url = answer.get("video", "url", kind=str)
        if answer.status == 200 and url is not None:
            return Finished(url, _facts(answer, status, model))
        # A server error of the task itself names its kind; one without a kind may be of a proxy: poll again.
        named = answer.headers.get(ERROR_TYPE) or answer.get("error_type", kind=str)
        named = named or status.get("error_type", kind=str) or status.get("error", kind=str)
        if named in CANCELLATIONS:
            raise task_failures.cancelled()
        if task_failures.is_bad_key(answer.status, _words(answer)):
            raise task_failures.key_refused()
        if answer.status in (400, 422):
            if _is_moderation(answer):
                raise task_failures.moderated(_words(answer), Charge.UNKNOWN)
            raise task_failures.failed(_words(answer), Charge.UNKNOWN)
        if answer.status >= 500 and named:
            raise task_failures.failed(_words(answer), Charge.NOT_CHARGED)
        raise VendorRequestFailed(f"completed, but HTTP {answer.status}", retry_delay_s=answer.retry_delay_s)

    async def stop(self, ref: str, model: str) -> Stop:
        """Cancels a task. Only one that was removed from the queue certainly costs nothing."""
        answer = await self._vendor_client.ask(
            "PUT", f"{_request(ref, model)}/cancel", kind="cancel", template=f"{TASK}/cancel"
        )
        self._check_own("cancel", answer, ref, model)
        status = answer.get("status", kind=str)
        if status == "ALREADY_COMPLETED":
            return Stop.ENDED
        if answer.status == 200 and status == "OK":
            return Stop.STOPPED
        if answer.status in (202, 404):
            return Stop.GOES_ON
        raise VendorRequestFailed(f"HTTP {answer.status}", retry_delay_s=answer.retry_delay_s)

    def _check_own(self, kind: str, answer: Answer, ref: str, model: str, *, nameless: bool = True) -> None:
        """Raises VendorRequestFailed if an answer names another request, or none although it must name one."""
        named = _named(answer, model)
        if named != {_request(ref, model)} and (named or not nameless):
            raise self._vendor_client.mixed_up(kind, ref, named)

    async def find(self, model: str, submit_time: datetime, now: datetime) -> Found:
        """Finds nothing: fal has no list of tasks."""
        return Found(None)

    async def webhook_secret(self) -> str:
        """Raises VendorRequestFailed: webhooks are not used."""
        raise VendorRequestFailed("this vendor's webhooks are not used")


def _request(ref: str, model: str) -> str:
    """Returns the path of a request: it has the owner and the app of the model, and not the rest of its name."""
    owner, app = MODELS[model].path.split("/")[:2]
    return f"/{owner}/{app}/requests/{ref}"


def _named(answer: Answer, model: str) -> set[str]:
    """Returns the requests that an answer names, as paths: from its id, which belongs to this model, and its URLs."""
    ref = answer.get("request_id", kind=str)
    urls = [answer.get(key, kind=str) for key in ("response_url", "status_url", "cancel_url")]
    found = [IN_URL.search(url) for url in urls if url]
    return {match[0] for match in found if match} | ({_request(ref, model)} if ref else set())


def _accepted(answer: Answer) -> str:
    """Returns the id of the accepted task. Raises Failed for each other way in which a submission can end."""
    ref = task_failures.accepted(answer.get("request_id", kind=str))
    if 200 <= answer.status < 300 and ref is not None:
        return ref
    if task_failures.is_refusal(answer.status):
        raise _refused(answer)
    raise task_failures.broke_down(answer.status) if answer.status >= 500 else task_failures.no_answer(answer.status)


def _refused(answer: Answer) -> Failed:
    words = _words(answer)
    locked = answer.status == 403 and ("balance" in words.lower() or "TOP_UP" in words)
    return task_failures.refused(
        answer.status, words, answer.retry_delay_s, credit=locked, moderation=_is_moderation(answer)
    )


def _words(answer: Answer) -> str:
    detail = answer.get("detail", kind=str) or answer.get("detail", 0, "msg", kind=str)
    return detail or answer.get("message", kind=str) or ""


def _is_moderation(answer: Answer) -> bool:
    return answer.get("detail", 0, "type", kind=str) == "content_policy_violation"


def _facts(answer: Answer, status: Answer, model: str) -> Facts:
    seconds = status.get("metrics", "inference_time", kind=float)
    promised = {"seed": answer.get("seed", kind=int), **(answer.get("video", kind=dict) or {})}
    promised.pop("url", None)
    return Facts(
        model=MODELS[model].path,
        inference_s=seconds if seconds is not None and 0 <= seconds < 10**6 else None,
        promised=promises(promised),
    )
