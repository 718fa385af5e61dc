/** The whole way, at a running stack: submit with a picture, watch, download. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Code, createClient, I2VError, JobState, type Client } from "../src/index.js";
import { absent, stack } from "./running-stack.js";

const options = { skip: absent, timeout: 240_000 };
const client: Client = createClient({ ...stack, key: stack.key || "none" });
after(() => client.close());

function spec(image: string) {
  const value = { image, prompt: "slow pan over the roof" };
  return { model: stack.model, operation: { case: "imageToVideo", value } } as const;
}

test("a picture becomes a video, watched to its end and downloaded", options, async () => {
  const asset = await client.upload(stack.picture, { mediaType: "image/*" });
  assert.match(asset.name, /^assets\/[0-9a-f]{64}$/);
  const preview = await client.preview(spec(asset.name));
  assert.ok(preview.admissible);
  const submitted = await client.submit(spec(asset.name), { quoteToken: preview.quoteToken });
  assert.deepEqual(submitted.quote, preview.quote);

  const sequences: bigint[] = [];
  const kinds: unknown[] = [];
  for await (const { sequence, event } of client.watch(submitted.name)) {
    sequences.push(sequence);
    kinds.push(event.case);
  }
  assert.deepEqual(
    sequences,
    sequences.map((_, index) => BigInt(index + 1)),
    "each event once, in order",
  );
  assert.deepEqual([kinds[0], kinds.at(-1)], ["admitted", "succeeded"]);

  const job = await client.job(submitted.name);
  assert.equal(job.state, JobState.SUCCEEDED);
  assert.ok(job.output && job.charged && job.charged.amountMicros <= preview.quote!.amountMicros);
  const video = await client.download(job.output.asset);
  assert.equal(BigInt(video.length), job.output.sizeBytes);
  assert.equal(`assets/${createHash("sha256").update(video).digest("hex")}`, job.output.asset);
  assert.equal(Buffer.from(video.subarray(4, 8)).toString(), "ftyp");

  const path = join(await mkdtemp(join(tmpdir(), "i2v-")), "video.mp4");
  await client.downloadTo(path, job.output.asset);
  assert.deepEqual(await readFile(path), Buffer.from(video));
  assert.ok((await client.download(job.output.asset, { variant: "poster" })).length > 100);

  const rest: bigint[] = [];
  for await (const { sequence } of client.watch(job.name, { after: sequences.at(-2)! })) rest.push(sequence);
  assert.deepEqual(rest, [sequences.at(-1)!]);
  for await (const other of client.list(JobState.SUCCEEDED)) {
    assert.equal(other.name, job.name, "the newest first");
    break;
  }
  assert.ok((await client.models()).some(({ name }) => name === `models/${stack.model}`));
  assert.ok((await client.usage()).user);
});

test("the same request id makes one job, and another spec under it is refused", options, async () => {
  const image = (await client.upload(stack.picture)).name;
  const requestId =
    "6f6c3a6e-3c52-4f43-9d8b-" + createHash("md5").update(String(Date.now())).digest("hex").slice(0, 12);
  const [first, again] = await Promise.all([
    client.submit(spec(image), { requestId }),
    client.submit(spec(image), { requestId }),
  ]);
  assert.equal(first.name, again.name);
  await assert.rejects(
    client.submit({ ...spec(image), seed: 7n }, { requestId }),
    (error) => error instanceof I2VError && error.reason === "REQUEST_ID_REUSED" && error.code === Code.AlreadyExists,
  );
  await client.cancel(first.name);
  assert.ok([JobState.CANCELLED, JobState.SUCCEEDED].includes((await client.ended(first.name)).state));
  assert.ok((await client.deleteJob(first.name)).deleteTime);
  await assert.rejects(client.job(first.name), (error) => error instanceof I2VError && error.code === Code.NotFound);
});

test("what the service refuses has its reason and its fields", options, async () => {
  const refused = async (call: Promise<unknown>): Promise<I2VError> => {
    const error = await call.then(
      () => assert.fail("it was not refused"),
      (caught: unknown) => caught,
    );
    assert.ok(error instanceof I2VError, String(error));
    return error;
  };
  const wrong = await refused(client.submit({ ...spec(`assets/${"0".repeat(64)}`), duration: { seconds: 77n } }));
  assert.ok(
    wrong.violations.some(({ subject, reason }) => subject === "spec.duration" && reason === "DURATION_UNSUPPORTED"),
  );
  assert.equal((await refused(client.job("jobs/none"))).code, Code.NotFound);
  assert.equal(
    (await refused(client.upload(Buffer.from("MZ no picture"), { mediaType: "image/*" }))).code,
    Code.InvalidArgument,
  );
  assert.equal(
    (await refused(client.upload(Buffer.alloc(10_000_001, "x"), { mediaType: "image/*" }))).code,
    Code.InvalidArgument,
  );
  assert.equal((await refused(client.upload(Buffer.alloc(0)))).code, Code.InvalidArgument);
  const stranger = createClient({ ...stack, key: "wrong" });
  assert.equal((await refused(stranger.usage())).code, Code.Unauthenticated);
  stranger.close();
});
