/** A stream that stays silent, and one whose reader stops. */
import { Code, ConnectError } from "@connectrpc/connect";
import assert from "node:assert/strict";
import { test } from "node:test";
import { messages } from "../src/message-stream.js";

/** Yields a number, then waits until its call is ended. */
async function* silent(signal: AbortSignal): AsyncGenerator<number> {
  yield 1;
  await new Promise((_, reject) => {
    const end = () => reject(new Error("ended"));
    if (signal.aborted) end();
    signal.addEventListener("abort", end);
  });
}

test("a stream without a message for too long counts as broken", async () => {
  const seen: number[] = [];
  const read = async () => {
    for await (const message of messages(silent, undefined, 50)) seen.push(message);
  };
  await assert.rejects(read(), (error) => error instanceof ConnectError && error.code === Code.Unavailable);
  assert.deepEqual(seen, [1]);
});

test("a call ends when its reader stops, or its caller's signal says so", async () => {
  let ended = 0;
  const watched = (signal: AbortSignal) => {
    signal.addEventListener("abort", () => (ended += 1));
    return silent(signal);
  };
  for await (const _ of messages(watched, undefined)) break;
  assert.equal(ended, 1);
  const stop = new AbortController();
  await assert.rejects(async () => {
    for await (const _ of messages(watched, stop.signal)) stop.abort();
  }, /ended/);
  assert.equal(ended, 2);
});
