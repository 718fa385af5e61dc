/** The service for one user. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type Client as Stub } from "@connectrpc/connect";
import { randomUUID } from "node:crypto";
import { Connection, type Call, type Options } from "./connection.js";
import { Downloads } from "./downloads.js";
import { AssetService, type Asset } from "./gen/i2v/v1/asset_pb.js";
import { CatalogService, type Model } from "./gen/i2v/v1/catalog_pb.js";
import {
  JobService,
  Job_State,
  type Heartbeat,
  type Job,
  type JobEvent,
  type JobSpecSchema,
  type PreviewJobResponse,
} from "./gen/i2v/v1/job_pb.js";
import { UsageService, type Usage } from "./gen/i2v/v1/usage_pb.js";
import { upload, type UploadOptions } from "./upload.js";

const ENDED: ReadonlySet<Job_State> = new Set([Job_State.SUCCEEDED, Job_State.FAILED, Job_State.CANCELLED]);
const TERMINAL: ReadonlySet<string | undefined> = new Set(["succeeded", "failed", "cancelled"]);

export type JobSpecInit = MessageInitShape<typeof JobSpecSchema>;

export interface SubmitOptions extends Call {
  /** A UUID. Default: a new one, so that one call makes one job, however often it is repeated. */
  requestId?: string | undefined;
  /** Of a preview: the job is admitted only at its price. */
  quoteToken?: string | undefined;
}

export interface WatchOptions extends Call {
  /** The last sequence number that was seen. */
  after?: bigint | undefined;
  /** Called with the place and the expected start of a job that waits. */
  onHeartbeat?: ((heartbeat: Heartbeat) => void) | undefined;
}

/** Every method rejects with an I2VError if its call failed. */
export class Client {
  private readonly jobs: Stub<typeof JobService>;
  private readonly assets: Stub<typeof AssetService>;
  private readonly downloads: Downloads;

  constructor(private readonly connection: Connection) {
    this.jobs = connection.service(JobService);
    this.assets = connection.service(AssetService);
    this.downloads = new Downloads(connection, this.assets);
  }

  /** Submits a job. */
  submit(spec: JobSpecInit, { requestId = randomUUID(), quoteToken = "", signal }: SubmitOptions = {}): Promise<Job> {
    const request = { requestId, spec, quoteToken };
    return this.connection.call((options) => this.jobs.submitJob(request, options), { signal });
  }

  /** Returns what a submission would make and cost, and everything that would refuse it. Charges nothing. */
  preview(spec: JobSpecInit, call: Call = {}): Promise<PreviewJobResponse> {
    return this.connection.call((options) => this.jobs.previewJob({ spec }, options), call);
  }

  /** Returns a job, `jobs/{id}`, as it is now. */
  job(name: string, call: Call = {}): Promise<Job> {
    return this.connection.call((options) => this.jobs.getJob({ name }, options), call);
  }

  /** Asks a job to stop, and returns it. */
  cancel(name: string, call: Call = {}): Promise<Job> {
    return this.connection.call((options) => this.jobs.cancelJob({ name }, options), call);
  }

  /** Deletes an ended job from the user's lists, and returns it. Its charge stays, and its video in the library. */
  deleteJob(name: string, { stop = false, signal }: Call & { stop?: boolean | undefined } = {}): Promise<Job> {
    return this.connection.call((options) => this.jobs.deleteJob({ name, stop }, options), { signal });
  }

  /** Yields the user's jobs, the newest first. */
  async *list(state = Job_State.STATE_UNSPECIFIED, call: Call = {}): AsyncGenerator<Job, void, void> {
    for (let pageToken = ""; ;) {
      const request = { state, pageToken };
      const page = await this.connection.call((options) => this.jobs.listJobs(request, options), call);
      yield* page.jobs;
      pageToken = page.nextPageToken;
      if (!pageToken) return;
    }
  }

  /** Yields the events of a job, each once, and ends after its last. A broken stream continues where it stopped. */
  async *watch(
    name: string,
    { after = 0n, onHeartbeat, signal }: WatchOptions = {},
  ): AsyncGenerator<JobEvent, void, void> {
    const retries = this.connection.retries({ signal });
    for (;;) {
      const request = { name, afterSequence: after };
      try {
        for await (const { response } of this.connection.stream((options) => this.jobs.watchJob(request, options), {
          signal,
        })) {
          retries.contact();
          if (response.case === "heartbeat") onHeartbeat?.(response.value);
          if (response.case !== "event" || response.value.sequence <= after) continue;
          after = response.value.sequence;
          yield response.value;
          if (TERMINAL.has(response.value.event.case)) return;
        }
      } catch (error) {
        await retries.wait(error);
        continue;
      }
      // Neither an error nor the last event: the job had ended before, or a proxy closed the stream.
      const job = await this.job(name, { signal });
      if (ENDED.has(job.state) && job.lastSequence <= after) return;
      await retries.wait(new ConnectError("The stream ended early.", Code.Unavailable));
    }
  }

  /** Waits until a job has ended, and returns it. */
  async ended(name: string, call: Call = {}): Promise<Job> {
    for await (const _ of this.watch(name, call));
    return this.job(name, call);
  }

  /** Uploads bytes, or the file of a path. A picture is written again: the asset's name is that of what was stored. */
  upload(source: Uint8Array | string, options: UploadOptions = {}): Promise<Asset> {
    return upload(this.connection, this.assets, source, options);
  }

  /** Returns the bytes of an asset, `assets/{sha256}`, checked against its name; or of one of its variants. */
  download(name: string, call: Call & { variant?: string | undefined } = {}): Promise<Uint8Array> {
    return this.downloads.bytes(name, call);
  }

  /** Downloads an asset to a file, which appears only when it is complete and correct. Returns its size in bytes. */
  downloadTo(path: string, name: string, call: Call & { variant?: string | undefined } = {}): Promise<number> {
    return this.downloads.file(path, name, call);
  }

  /** Returns every model. */
  async models(call: Call = {}): Promise<Model[]> {
    const found: Model[] = [];
    for (let pageToken = ""; ;) {
      const request = { pageToken };
      const catalog = this.connection.service(CatalogService);
      const page = await this.connection.call((options) => catalog.listModels(request, options), call);
      found.push(...page.models);
      pageToken = page.nextPageToken;
      if (!pageToken) return found;
    }
  }

  /** Returns the budgets and the newest entries of the ledger. */
  usage(call: Call = {}): Promise<Usage> {
    return this.connection.call((options) => this.connection.service(UsageService).getUsage({}, options), call);
  }

  /** For services that this class has no methods for: it adds the credentials, and repeats nothing. */
  get transport() {
    return this.connection.transport;
  }

  /** Ends open calls, and closes the connection. */
  close(): void {
    this.connection.close();
  }
}

export function createClient(options: Options): Client {
  return new Client(new Connection(options));
}
