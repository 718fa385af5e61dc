export { Client, createClient, type JobSpecInit, type SubmitOptions, type WatchOptions } from "./client.js";
export type { Call, Options } from "./connection.js";
export { I2VError, type Violation } from "./i2v-error.js";
export { verifyWebhook, WebhookVerificationError } from "./webhook.js";
export { Code } from "@connectrpc/connect";
export { Job_State as JobState } from "./gen/i2v/v1/job_pb.js";
export type { Asset } from "./gen/i2v/v1/asset_pb.js";
export type { Job, JobEvent, JobSpec } from "./gen/i2v/v1/job_pb.js";
