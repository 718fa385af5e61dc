/** Uploads and downloads that break, and files that arrive damaged. */
import { Code, ConnectError } from "@connectrpc/connect";
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { AssetService } from "../src/gen/i2v/v1/asset_pb.js";
import { I2VError } from "../src/index.js";
import { scripted } from "./scripted-server.js";

const FILE = Buffer.from("the bytes of a video");
const named = (bytes: Buffer) => `assets/${createHash("sha256").update(bytes).digest("hex")}`;
const folder = () => mkdtemp(join(tmpdir(), "i2v-"));

test("a download that breaks continues where it stopped", async () => {
  const offsets: bigint[] = [];
  await scripted(
    ({ service }) => {
      service(AssetService, {
        async *readAsset({ offset }) {
          offsets.push(offset);
          yield { data: FILE.subarray(Number(offset), Number(offset) + 8) };
          if (offsets.length < 3) throw new ConnectError("The server stops.", Code.Unavailable);
        },
      });
    },
    async ({ client }) => {
      const path = join(await folder(), "video.mp4");
      assert.equal(await client.downloadTo(path, named(FILE)), FILE.length);
      assert.deepEqual(await readFile(path), FILE);
    },
  );
  assert.deepEqual(offsets, [0n, 8n, 16n]);
});

test("what a download left that was killed does not stop the next one", async () => {
  await scripted(
    ({ service }) => {
      service(AssetService, {
        async *readAsset() {
          yield { data: FILE };
        },
      });
    },
    async ({ client }) => {
      const path = join(await folder(), "video.mp4");
      await writeFile(`${path}.${process.pid}.part`, "of a process with the same number, as in each container");
      const both = [client.downloadTo(path, named(FILE)), client.downloadTo(path, named(FILE))];
      assert.deepEqual(await Promise.all(both), [FILE.length, FILE.length]);
      assert.deepEqual(await readFile(path), FILE);
    },
  );
});

test("bytes that are not those of the name are refused, and leave no file", async () => {
  await scripted(
    ({ service }) => {
      service(AssetService, {
        async *readAsset() {
          yield { data: FILE };
        },
      });
    },
    async ({ client }) => {
      const other = named(Buffer.from("other bytes"));
      const damaged = (error: unknown) => error instanceof I2VError && error.reason === "CHECKSUM_WRONG";
      await assert.rejects(client.download(other), damaged);
      const where = await folder();
      await assert.rejects(client.downloadTo(join(where, "video.mp4"), other), damaged);
      assert.deepEqual(await readdir(where), []);
      assert.deepEqual(Buffer.from(await client.download(other, { variant: "poster" })), FILE);
    },
  );
});

test("a small upload is sent from its first byte again, with its size and its digest", async () => {
  const tries: string[] = [];
  await scripted(
    ({ service }) => {
      service(AssetService, {
        async writeAsset(requests) {
          let sent = "";
          for await (const { part } of requests) {
            sent +=
              part.case === "header"
                ? `${part.value.sizeBytes} assets/${part.value.sha256} ${part.value.mediaType} `
                : part.value;
          }
          tries.push(sent);
          if (tries.length === 1) throw new ConnectError("The server stops.", Code.Unavailable);
          return { name: named(FILE) };
        },
      });
    },
    async ({ client }) => {
      const path = join(await folder(), "cat.png");
      await writeFile(path, FILE);
      for (const source of [FILE, path]) await client.upload(source, { mediaType: "image/*" });
    },
  );
  assert.deepEqual(new Set(tries), new Set([`${FILE.length} ${named(FILE)} image/* ${[...FILE]}`]));
  assert.equal(tries.length, 3);
});

test("a large upload that breaks continues from what has arrived", async () => {
  const large = Buffer.alloc(9 * 1024 * 1024, "i2v");
  const whole = createHash("sha256");
  const begun: bigint[] = [];
  const kept = 4 * 1024 * 1024;
  await scripted(
    ({ service }) => {
      service(AssetService, {
        async writeAsset(requests) {
          let size = 0;
          for await (const { part } of requests) {
            if (part.case === "header") {
              begun.push(part.value.offset);
              size = Number(part.value.offset);
              continue;
            }
            const data = part.value as Uint8Array;
            if (begun.length > 1 || size + data.length <= kept) whole.update(data);
            size += data.length;
            if (begun.length === 1 && size === kept) throw new ConnectError("The server stops.", Code.Unavailable);
          }
          assert.equal(size, large.length);
          return { name: `assets/${whole.digest("hex")}` };
        },
        queryWriteStatus: () => ({ receivedBytes: BigInt(kept) }),
      });
    },
    async ({ client }) => assert.equal((await client.upload(large)).name, named(large)),
  );
  assert.deepEqual(begun, [0n, BigInt(kept)]);
});
