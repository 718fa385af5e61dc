/** Uploads of assets. A large file that breaks off continues from what has arrived. */
import { Code, type Client } from "@connectrpc/connect";
import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { Call, Connection } from "./connection.js";
import type { Asset, AssetService } from "./gen/i2v/v1/asset_pb.js";
import { I2VError } from "./i2v-error.js";

const CHUNK_BYTES = 256 * 1024;
/** A smaller file is sent from its first byte again: that takes less time than to store its parts. */
const RESUMABLE_BYTES = 8 * 1024 * 1024;

export interface UploadOptions extends Call {
  /** What the file is for: `image/*`, `audio/*` or `video/*`. Default: the server decides. */
  mediaType?: string | undefined;
}

type Source = Uint8Array | string;

export async function upload(
  connection: Connection,
  assets: Client<typeof AssetService>,
  source: Source,
  { mediaType = "", signal }: UploadOptions,
): Promise<Asset> {
  const digest = createHash("sha256");
  for await (const data of chunks(source, 0)) digest.update(data);
  const size = typeof source === "string" ? (await stat(source)).size : source.length;
  const header = {
    mediaType,
    sizeBytes: BigInt(size),
    sha256: digest.digest("hex"),
    uploadId: size < RESUMABLE_BYTES ? "" : randomUUID(),
    offset: 0n,
  };
  const retries = connection.retries({ signal });
  for (;;) {
    try {
      return await assets.writeAsset(requests(source, header), { ...(signal && { signal }) });
    } catch (error) {
      await retries.wait(error);
    }
    const arrived = header.uploadId ? await received(connection, assets, header.uploadId, { signal }) : 0n;
    if (arrived > header.offset) retries.contact();
    header.offset = arrived;
  }
}

async function received(
  connection: Connection,
  assets: Client<typeof AssetService>,
  uploadId: string,
  call: Call,
): Promise<bigint> {
  try {
    return (await connection.call((options) => assets.queryWriteStatus({ uploadId }, options), call)).receivedBytes;
  } catch (error) {
    if (error instanceof I2VError && error.code === Code.NotFound) return 0n;
    throw error;
  }
}

async function* requests(source: Source, header: { offset: bigint; mediaType: string; sizeBytes: bigint }) {
  yield { part: { case: "header" as const, value: header } };
  for await (const value of chunks(source, Number(header.offset))) yield { part: { case: "data" as const, value } };
}

async function* chunks(source: Source, offset: number): AsyncGenerator<Uint8Array, void, void> {
  if (typeof source === "string") {
    yield* createReadStream(source, { start: offset, highWaterMark: CHUNK_BYTES });
  } else {
    for (let at = offset; at < source.length; at += CHUNK_BYTES) yield source.subarray(at, at + CHUNK_BYTES);
  }
}
