/** The error that every call raises, made from a gRPC status. */
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  QuotaFailureSchema,
  RetryInfoSchema,
} from "./gen/google/rpc/error_details_pb.js";

/** A field of the request, or a limit, and what is wrong with it. */
export interface Violation {
  readonly subject: string;
  readonly description: string;
  /** Stable UPPER_SNAKE word; empty for a limit. */
  readonly reason: string;
}

export class I2VError extends Error {
  override readonly name = "I2VError";

  constructor(
    message: string,
    readonly code: Code,
    /** Stable UPPER_SNAKE word; empty when something between the client and the server answered. */
    readonly reason = "",
    /** The changing parts of the message. */
    readonly metadata: Readonly<Record<string, string>> = {},
    /** The invalid fields. */
    readonly violations: readonly Violation[] = [],
    /** The limits of the plan that are reached. */
    readonly limits: readonly Violation[] = [],
    /** Seconds until a retry makes sense, if the server gave them. */
    readonly retryAfterSeconds: number | undefined = undefined,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** Returns the error of a call. What is no error of a call, such as one of a file, stays as it is. */
  static of(cause: unknown): unknown {
    if (!(cause instanceof ConnectError)) return cause;
    const info = cause.findDetails(ErrorInfoSchema)[0];
    const delay = cause.findDetails(RetryInfoSchema)[0]?.retryDelay;
    return new I2VError(
      cause.rawMessage,
      cause.code,
      info?.reason,
      info?.metadata,
      cause
        .findDetails(BadRequestSchema)
        .flatMap((detail) => detail.fieldViolations)
        .map(({ field, description, reason }) => ({ subject: field, description, reason })),
      cause
        .findDetails(QuotaFailureSchema)
        .flatMap((detail) => detail.violations)
        .map(({ subject, description }) => ({ subject, description, reason: "" })),
      delay && Number(delay.seconds) + delay.nanos / 1e9,
      { cause },
    );
  }

  /** Whether the server did not answer, or was too busy: the same call is safe to repeat, and may succeed. */
  get unreachable(): boolean {
    if (this.code === Code.Unavailable || this.code === Code.DeadlineExceeded) return true;
    if (this.code === Code.ResourceExhausted) return this.reason.endsWith("_LIMIT_REACHED");
    // A connection that broke: the server's own statuses have a reason.
    return this.reason === "" && BROKEN.has(this.code);
  }
}

const BROKEN: ReadonlySet<Code> = new Set([Code.Aborted, Code.Canceled, Code.Internal]);
