/** Downloads of assets. A broken one continues where it stopped; an asset's own bytes are checked against its name. */
import { Code, type Client } from "@connectrpc/connect";
import { createHash, randomUUID } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import type { Call, Connection } from "./connection.js";
import type { AssetService } from "./gen/i2v/v1/asset_pb.js";
import { I2VError } from "./i2v-error.js";

export interface DownloadOptions extends Call {
  /** Such as `poster`, in place of the asset's own bytes. */
  variant?: string | undefined;
}

export class Downloads {
  constructor(
    private readonly connection: Connection,
    private readonly assets: Client<typeof AssetService>,
  ) {}

  async bytes(name: string, options: DownloadOptions): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for await (const part of this.parts(name, options)) parts.push(part);
    return Buffer.concat(parts);
  }

  async file(path: string, name: string, options: DownloadOptions): Promise<number> {
    const unfinished = `${path}.${randomUUID()}.part`;
    const file = await open(unfinished, "wx", 0o600);
    let size = 0;
    try {
      try {
        for await (const part of this.parts(name, options)) {
          await file.appendFile(part);
          size += part.length;
        }
      } finally {
        await file.close();
      }
      await rename(unfinished, path);
    } catch (error) {
      await rm(unfinished, { force: true });
      throw error;
    }
    return size;
  }

  private async *parts(
    name: string,
    { variant = "", signal }: DownloadOptions,
  ): AsyncGenerator<Uint8Array, void, void> {
    const retries = this.connection.retries({ signal });
    const digest = createHash("sha256");
    for (let size = 0, complete = false; !complete;) {
      const request = { name, variant, offset: BigInt(size) };
      try {
        for await (const { data } of this.connection.stream((options) => this.assets.readAsset(request, options), {
          signal,
        })) {
          retries.contact();
          digest.update(data);
          size += data.length;
          yield data;
        }
        complete = true;
      } catch (error) {
        await retries.wait(error);
      }
    }
    if (!variant && `assets/${digest.digest("hex")}` !== name) {
      throw new I2VError(`${name} arrived damaged. Download it again.`, Code.DataLoss, "CHECKSUM_WRONG", { name });
    }
  }
}
