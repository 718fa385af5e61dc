/** A page written for the events of the original demo, by the client that pages use, at a running stack. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { io, type Socket } from "socket.io-client";
import { absent, stack } from "./running-stack.js";

const options = { skip: absent, timeout: 240_000 };

interface Frame {
  data: string;
  frame_index: number;
  block_index: number;
  job_id: string;
}

function connect(more: Record<string, unknown> = {}): Socket {
  const auth = { key: stack.key || "none", user: stack.user, follow: "own", ...more };
  return io(stack.http, { auth, reconnectionDelay: 100 });
}

function next<T>(socket: Socket, event: string): Promise<T> {
  return new Promise((resolve) => socket.once(event, resolve));
}

test("the original's page makes a video of a picture, frame by frame", options, async () => {
  const socket = connect();
  const frames: Frame[] = [];
  const progress: number[] = [];
  const errors: unknown[] = [];
  socket.on("frame_ready", (frame: Frame) => frames.push(frame)); // it acknowledges nothing
  socket.on("progress", (said: { progress: number }) => progress.push(said.progress));
  socket.on("error", (said: unknown) => errors.push(said));

  socket.emit("set_mode", { mode: "i2v" });
  assert.deepEqual(await next(socket, "mode_changed"), { mode: "i2v" });
  const picture = (await readFile(stack.picture)).toString("base64");
  socket.emit("upload_image", { image_data: `data:image/png;base64,${picture}` });
  assert.equal((await next<{ message: string }>(socket, "image_uploaded")).message, "Image uploaded");
  const wishes = { prompt: "it moves", seed: -1, model: stack.model, enable_fp8: false, use_taehv: false };
  socket.emit("start_generation", wishes);
  const done = await next<{ total_frames: number; job_id: string }>(socket, "generation_complete");

  assert.deepEqual(errors, []);
  assert.deepEqual(
    frames.map((frame) => frame.frame_index),
    Array.from({ length: done.total_frames }, (_, index) => index),
  );
  assert.ok(frames.every((frame) => frame.data.startsWith("data:image/jpeg;base64,") && frame.job_id === done.job_id));
  assert.equal(progress.at(-1), 100);
  socket.disconnect();
});

test("a broken connection goes on at the next frame", options, async () => {
  const socket = connect({ tab: "page" });
  const seen: number[] = [];
  let broken = false;
  socket.on("frame_ready", (frame: Frame, acknowledge: () => void) => {
    seen.push(frame.frame_index);
    acknowledge();
    if (!broken && frame.frame_index === 3) {
      broken = true;
      socket.io.engine.close();
      socket.connect();
    }
  });
  socket.emit("start_generation", { mode: "t2v", prompt: "a wave", model: stack.model });
  const done = await next<{ total_frames: number }>(socket, "generation_complete");
  assert.ok(broken);
  assert.deepEqual(
    [...new Set(seen)],
    Array.from({ length: done.total_frames }, (_, index) => index),
  );
  socket.disconnect();
});

test("a wrong key is refused with a reason, over polling too", options, async () => {
  for (const transports of [["polling"], ["websocket"]]) {
    const socket = io(stack.http, { auth: { key: "guessed" }, transports });
    const refused = await next<Error & { data: { reason: string } }>(socket, "connect_error");
    assert.equal(refused.data.reason, "API_KEY_UNKNOWN");
    socket.disconnect();
  }
});
