"""WaveSpeed, simulated: `python -m tools.simulators.wavespeed`."""

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web

from services.providers.webhook_verification import signature
from tools.simulators.simulator import Simulator, main
from tools.simulators.task import Refusal, Request, Work
from tools.simulators.video import sound_s

API = "/api/v3"
SECRET = "whsec_simulated"
FIELDS = {
    "alibaba/wan-2.5/image-to-video": (
        {"image", "prompt"},
        {"audio", "negative_prompt", "resolution", "duration", "enable_prompt_expansion", "seed"},
    ),
    "wavespeed-ai/kandinsky5-pro/image-to-video": ({"image", "prompt"}, {"resolution"}),
    "kwaivgi/kling-v2.5-turbo-std/image-to-video": (
        {"image", "prompt"},
        {"negative_prompt", "guidance_scale", "duration"},
    ),
    "wavespeed-ai/infinitetalk": ({"image", "audio"}, {"mask_image", "prompt", "resolution", "seed"}),
}
"""By path: the fields that it needs, and those that it may have."""
STATES = {"queue": "created", "work": "processing", "moderation": "failed", "no-output": "completed"}


class WaveSpeedSimulator(Simulator):
    """The vendor WaveSpeed."""

    name = "wavespeed"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.secret = SECRET
        self._webhooks: set[asyncio.Task[None]] = set()
        self.fields = dict(FIELDS)

    def add_routes(self) -> None:
        routes = self.application.router
        routes.add_get(f"{API}/predictions/{{ref}}/result", self._poll)
        routes.add_post(f"{API}/predictions", self._list)
        routes.add_post(f"{API}/media/upload/binary", self._upload)
        routes.add_get(f"{API}/webhook/secret", self._secret)
        routes.add_get("/uploads/{name}", self._uploaded)
        routes.add_post(f"{API}/{{model:.+}}", self._submit)

    def is_known(self, request: web.Request) -> bool:
        return self._any_key or request.headers.get("authorization") == f"Bearer {self.key}"

    def refusal(self, status: int, words: str) -> web.Response:
        http = 200 if self.scenario.submit == "envelope" else status
        return web.json_response({"code": status, "message": words}, status=http)

    def words_of(self, kind: str) -> tuple[int, str]:
        return {
            "moderation": (400, "The input was flagged as sensitive content."),
            "bad-key": (401, "Invalid API key"),
            "no-credit": (400, "Insufficient credits. Please top up."),
        }[kind]

    async def _submit(self, request: web.Request) -> web.StreamResponse:
        model = request.match_info["model"]
        if self.scenario.submit == "envelope":
            self.counts["submit"] += 1
            return self.refusal(self.scenario.status, self.scenario.words or "no")
        response = await self.submit(request, lambda fields: self._request(model, fields))
        hook = request.query.get("webhook")
        if hook and isinstance(response, web.Response) and response.status == 200:
            ref = list(self.works)[-1]
            webhook = asyncio.create_task(self._send_webhook(self.works[ref], hook))
            self._webhooks.add(webhook)
            webhook.add_done_callback(self._webhooks.discard)
        return response

    def _request(self, model: str, fields: dict[str, Any]) -> Request:
        if model not in self.fields:
            raise Refusal(404, "no such model")
        needed, allowed = self.fields[model]
        if missing := needed - set(fields):
            raise Refusal(400, f'field "{min(missing)}" is required')
        if unknown := set(fields) - needed - allowed:
            raise Refusal(400, f'field "{min(unknown)}" is unknown')
        if fields.get("duration", 5) not in (5, 10):
            raise Refusal(400, "duration is 5 or 10")
        image = fields.get("image") or fields.get("image_url")
        picture = self.given(image, bare="kling" in model)
        sound = self.given(fields["audio"]) if "audio" in fields else None
        if "mask_image" in fields:
            self.given(fields["mask_image"])
        side = int(fields.get("resolution", "720p").removesuffix("p"))
        talks = sound is not None and "infinitetalk" in model
        seconds = sound_s(sound) if talks and sound is not None else float(fields.get("duration", 5))
        return Request(model, picture, side, seconds, sound, fields.get("prompt", ""))

    def acceptance(self, work: Work) -> dict[str, Any]:
        return {"code": 200, "message": "success", "data": self._data(work, "queue")}

    def spoiled(self, answer: dict[str, Any], how: str) -> dict[str, Any]:
        if how == "no-id":
            del answer["data"]["id"]
        elif how == "bad-id":
            answer["data"]["id"] = "../../account"
        elif how == "same-id":
            answer["data"]["id"] = list(self.works)[-2]
        elif how == "other-model":
            answer["data"]["model"] = "alibaba/wan-2.2/image-to-video"
        return answer

    def _data(self, work: Work, state: str) -> dict[str, Any]:
        began = datetime.fromtimestamp(time.time() - (asyncio.get_running_loop().time() - work.began), UTC)
        done = state == "completed"
        words = "sensitive content" if state == "moderation" else work.scenario.words or "the engine broke"
        return {
            "id": work.ref,
            "model": work.request.model,
            "status": STATES.get(state, state),
            "created_at": began.isoformat().replace("+00:00", "268Z"),
            "outputs": [self.output_url(work)] if done else [],
            "urls": {"get": f"{self.url}{API}/predictions/{work.ref}/result"},
            "has_nsfw_contents": [False] if done else [],
            "error": words if state in ("failed", "moderation") else "",
            "timings": {"inference": 1234} if done else {},
        }

    async def _poll(self, request: web.Request) -> web.StreamResponse:
        def answer(work: Work, state: str) -> web.Response:
            return web.json_response({"code": 200, "message": "success", "data": self._data(work, state)})

        return await self.poll(request, answer)

    async def _list(self, request: web.Request) -> web.Response:
        self.counts["find"] += 1
        query = await request.json()
        first = (query["page"] - 1) * query["page_size"]
        now = asyncio.get_running_loop().time()
        works = sorted(self.works.values(), key=lambda work: work.began, reverse=self.scenario.listed != "reversed")
        items = [self._data(work, work.state(now)) for work in works]
        size = min(query["page_size"], {"capped": 2, "empty": 0}.get(self.scenario.listed, query["page_size"]))
        if self.scenario.listed == "garbage":
            items = [item | {"created_at": "yesterday"} for item in items]
        number = query["page"] + (self.scenario.listed == "other-page")
        page = {"page": number, "items": items[first : first + size]}
        return web.json_response({"code": 200, "message": "success", "data": page})

    async def _upload(self, request: web.Request) -> web.Response:
        self.counts["upload"] += 1
        if not self.is_known(request):
            return self.refusal(401, "Invalid API key")
        if self.scenario.upload:
            return self.refusal(self.scenario.upload, self.scenario.words)
        field = await (await request.multipart()).next()
        assert isinstance(field, aiohttp.BodyPartReader) and field.name == "file"
        data = bytes(await field.read())
        name = f"{len(self.uploads)}"
        self.uploads[name] = data
        found = {"type": "image", "download_url": f"{self.url}/uploads/{name}", "filename": name, "size": len(data)}
        return web.json_response({"code": 200, "message": "success", "data": found})

    async def _uploaded(self, request: web.Request) -> web.Response:
        return web.Response(body=self.uploads[request.match_info["name"]])

    async def _secret(self, request: web.Request) -> web.Response:
        self.counts["secret"] += 1
        if self.scenario.secret:
            return self.refusal(self.scenario.secret, "not now")
        return web.json_response({"code": 200, "message": "success", "data": {"secret": self.secret}})

    async def _send_webhook(self, work: Work, hook: str) -> None:
        """Sends the webhook of a task when it has ended."""
        loop = asyncio.get_running_loop()
        while work.state(loop.time()) in ("queue", "work"):
            if work.scenario.stay:
                await work.released.wait()
            # Once, until it ends: repeated polling of a thousand tasks would keep a core busy, which the tests measure.
            await asyncio.sleep(max(0.0, work.ends - loop.time()))
        body = json.dumps({**self._data(work, work.state(loop.time())), "input": {}}).encode()
        stamp, number = str(int(time.time())), f"hook-{work.ref}"
        headers = {
            "webhook-id": number,
            "webhook-timestamp": stamp,
            "webhook-signature": signature(self.secret, number, stamp, body),
        }
        async with aiohttp.ClientSession() as session, session.post(hook, data=body, headers=headers) as answer:
            self.counts[f"webhook-{answer.status}"] += 1

    async def stopping(self) -> None:
        for webhook in self._webhooks:
            webhook.cancel()


if __name__ == "__main__":
    main(WaveSpeedSimulator, 8601)
