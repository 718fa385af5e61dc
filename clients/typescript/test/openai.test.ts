/** OpenAI's own client for Node, unchanged, at the HTTP side of a running stack. */
import assert from "node:assert/strict";
import { File } from "node:buffer";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import OpenAI, { toFile } from "openai";
import { absent, stack } from "./running-stack.js";

// Node 18 has it elsewhere than OpenAI's client looks for it.
Object.assign(globalThis, { File });

test(
  "a picture becomes a video, by a form, and is listed, read, remixed and deleted",
  { skip: absent, timeout: 240_000 },
  async () => {
    const { videos, models } = new OpenAI({
      apiKey: stack.key,
      baseURL: `${stack.http}/v1`,
      defaultHeaders: { "I2V-User": stack.user },
      maxRetries: 0,
    });
    const ids: string[] = [];
    for await (const { id } of models.list()) ids.push(id);
    assert.ok(ids.includes(stack.model));

    const input_reference = await toFile(readFile(stack.picture), "cat.png", { type: "image/png" });
    const model = stack.model as OpenAI.VideoModel;
    let video = await videos.create({ prompt: "a wave", model, input_reference });
    while (video.status === "queued" || video.status === "in_progress") {
      await pause(200);
      video = await videos.retrieve(video.id);
    }
    assert.deepEqual([video.status, video.progress, video.error], ["completed", 100, null]);
    const file = Buffer.from(await (await videos.downloadContent(video.id)).arrayBuffer());
    assert.equal(file.subarray(4, 8).toString(), "ftyp");
    const thumbnail = await videos.downloadContent(video.id, { variant: "thumbnail" });
    assert.equal(thumbnail.headers.get("content-type"), "image/webp");

    const remixed = await videos.remix(video.id, { prompt: "a storm" });
    assert.equal(remixed.remixed_from_video_id, video.id);
    const page = await videos.list({ limit: 1 });
    assert.equal(page.data[0]?.id, remixed.id);
    for (const { id } of [remixed, video]) assert.ok((await videos.delete(id)).deleted);
    await assert.rejects(videos.create({ prompt: "a wave", model, seconds: "77" as "4" }), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.deepEqual([error.code, error.param], ["DURATION_UNSUPPORTED", "seconds"]);
      return true;
    });
  },
);
