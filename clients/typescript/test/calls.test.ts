/** What a caller sees when calls break, are repeated, or are refused. */
import { Code, ConnectError } from "@connectrpc/connect";
import assert from "node:assert/strict";
import { test } from "node:test";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import { JobService, Job_State } from "../src/gen/i2v/v1/job_pb.js";
import { createClient, I2VError } from "../src/index.js";
import { scripted } from "./scripted-server.js";

const SPEC = { model: "nano" };
const nowhere = { address: "127.0.0.1:1", key: "a-key" };

test("a submission that was not answered is repeated with the same request id", async () => {
  const ids: string[] = [];
  await scripted(
    ({ service }) => {
      service(JobService, {
        submitJob({ requestId }, { requestHeader }) {
          ids.push(requestId);
          assert.equal(requestHeader.get("authorization"), "Bearer a-key");
          assert.equal(requestHeader.get("i2v-user"), "ann");
          if (ids.length < 3) throw new ConnectError("The server stops.", Code.Unavailable);
          return { name: "jobs/1" };
        },
      });
    },
    async ({ client }) => assert.equal((await client.submit(SPEC)).name, "jobs/1"),
  );
  assert.equal(ids.length, 3);
  assert.equal(new Set(ids).size, 1);
  assert.match(String(ids[0]), /^[0-9a-f-]{36}$/);
});

test("a watch that breaks continues after the last event that came", async () => {
  const asked: bigint[] = [];
  await scripted(
    ({ service }) => {
      service(JobService, {
        async *watchJob({ afterSequence }) {
          asked.push(afterSequence);
          const event = (sequence: bigint, kind: "started" | "succeeded") =>
            ({ response: { case: "event", value: { sequence, event: { case: kind, value: {} } } } }) as const;
          if (asked.length === 1) {
            yield event(1n, "started");
            yield event(2n, "started");
            throw new ConnectError("The server stops.", Code.Unavailable);
          }
          yield { response: { case: "heartbeat", value: { queuePlace: 4 } } } as const;
          yield event(2n, "started");
          yield event(3n, "succeeded");
        },
      });
    },
    async ({ client }) => {
      const sequences: bigint[] = [];
      const places: number[] = [];
      const onHeartbeat = ({ queuePlace }: { queuePlace: number }) => places.push(queuePlace);
      for await (const { sequence } of client.watch("jobs/1", { onHeartbeat })) sequences.push(sequence);
      assert.deepEqual(sequences, [1n, 2n, 3n]);
      assert.deepEqual(places, [4]);
    },
  );
  assert.deepEqual(asked, [0n, 2n]);
});

test("a watch goes on when the connection is cut", async () => {
  let calls = 0;
  let cutIt = () => {};
  await scripted(
    ({ service }) => {
      service(JobService, {
        async *watchJob({ afterSequence }) {
          calls += 1;
          yield {
            response: { case: "event", value: { sequence: afterSequence + 1n, event: { case: "started", value: {} } } },
          };
          if (calls === 1) {
            cutIt();
            await new Promise(() => {});
          }
          yield { response: { case: "event", value: { sequence: 3n, event: { case: "failed", value: {} } } } };
        },
      });
    },
    async ({ client, cut }) => {
      cutIt = cut;
      const kinds: unknown[] = [];
      for await (const { event } of client.watch("jobs/1")) kinds.push(event.case);
      assert.deepEqual(kinds, ["started", "started", "failed"]);
    },
  );
});

test("a watch of a job that had ended before ends", async () => {
  await scripted(
    ({ service }) => {
      service(JobService, {
        async *watchJob() {},
        getJob: () => ({ name: "jobs/1", state: Job_State.SUCCEEDED, lastSequence: 7n }),
      });
    },
    async ({ client }) => {
      for await (const event of client.watch("jobs/1", { after: 7n })) assert.fail(String(event.sequence));
    },
  );
});

test("a refusal has its reason, its fields and when to try again, and is not repeated", async () => {
  let calls = 0;
  const details = [
    { desc: ErrorInfoSchema, value: { reason: "DURATION_UNSUPPORTED", metadata: { limit: "5" } } },
    {
      desc: BadRequestSchema,
      value: { fieldViolations: [{ field: "spec.duration", description: "Too long.", reason: "X" }] },
    },
    { desc: RetryInfoSchema, value: { retryDelay: { seconds: 1n, nanos: 500_000_000 } } },
  ];
  await scripted(
    ({ service }) => {
      service(JobService, {
        submitJob() {
          calls += 1;
          throw new ConnectError("It is too long.", Code.InvalidArgument, undefined, details);
        },
      });
    },
    async ({ client }) => {
      const error = await client.submit(SPEC).catch((caught: unknown) => caught);
      assert.ok(error instanceof I2VError);
      assert.deepEqual(
        [error.message, error.code, error.reason, error.metadata, error.retryAfterSeconds],
        ["It is too long.", Code.InvalidArgument, "DURATION_UNSUPPORTED", { limit: "5" }, 1.5],
      );
      assert.deepEqual(error.violations, [{ subject: "spec.duration", description: "Too long.", reason: "X" }]);
      assert.equal(error.unreachable, false);
    },
  );
  assert.equal(calls, 1);
});

test("only what the server did not answer, or was too busy for, is repeated", () => {
  const { Aborted, Canceled, DeadlineExceeded, FailedPrecondition, Internal, ResourceExhausted, Unavailable } = Code;
  for (const code of [Aborted, Canceled, DeadlineExceeded, Internal, Unavailable]) {
    assert.ok(new I2VError("", code).unreachable, Code[code]);
  }
  assert.ok(new I2VError("", ResourceExhausted, "STREAM_LIMIT_REACHED").unreachable);
  for (const [code, reason] of [
    [Aborted, "ETAG_OUTDATED"],
    [Internal, "INTERNAL"],
    [ResourceExhausted, "BUDGET_EXCEEDED"],
    [FailedPrecondition, ""],
  ] as const) {
    assert.ok(!new I2VError("", code, reason).unreachable, reason);
  }
});

test("without a server a call ends when its time for retries is over", async () => {
  const client = createClient({ ...nowhere, retryForMs: 200 });
  await assert.rejects(client.job("jobs/1"), (error) => error instanceof I2VError && error.unreachable);
  client.close();
});

test("a signal ends the retries of a call", async () => {
  const client = createClient({ ...nowhere, retryForMs: 600_000 });
  const stop = new AbortController();
  const call = client.job("jobs/1", { signal: stop.signal });
  stop.abort();
  await assert.rejects(call);
  client.close();
});

test("an address may have the usual port of its protocol", () => {
  createClient({ ...nowhere, address: "i2v.example.com:443", tls: true }).close();
  createClient({ ...nowhere, address: "[::1]:80" }).close();
});

test("what cannot be an address, a key or a user is refused at once", () => {
  for (const wrong of [{ key: "" }, { key: "a\nb" }, { user: "" }, { user: "é" }, { user: "x".repeat(129) }]) {
    assert.throws(() => createClient({ ...nowhere, ...wrong }), RangeError);
  }
  for (const address of ["", "host", "http://host:1", "host:1/path", "host:99999", "me@host:1"]) {
    assert.throws(
      () => createClient({ ...nowhere, address }),
      (error) => error instanceof TypeError || error instanceof RangeError,
    );
  }
});
