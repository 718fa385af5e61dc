/** The connection to the service, with the credentials of one caller. */
import type { DescService } from "@bufbuild/protobuf";
import { createClient, type CallOptions, type Client, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import type { SecureClientSessionOptions } from "node:http2";
import { messages } from "./message-stream.js";
import { RetryPolicy } from "./retry-policy.js";

const PRINTABLE = /^[ -~]+$/;
const USER_CHARACTERS = 128;

export interface Options {
  /** `host:port`. */
  address: string;
  /** An API key, or a token of the operators' identity provider. */
  key: string;
  /** The end user for whom this tenant calls. Default: `default`, or the one that the token names. */
  user?: string | undefined;
  /** Whether the server speaks TLS; or authorities to trust and a certificate to show, in PEM. */
  tls?: boolean | Pick<SecureClientSessionOptions, "ca" | "cert" | "key"> | undefined;
  /** A call is repeated until there was no contact for this time. */
  retryForMs?: number | undefined;
  /** Time limit of one try of a call; uploads, downloads and watches have none. */
  timeoutMs?: number | undefined;
}

/** What a single call may set. */
export interface Call {
  /** Ends the call, and its retries. */
  signal?: AbortSignal | undefined;
}

export class Connection {
  /** For services that the client has no methods for. It adds the credentials, and repeats nothing. */
  readonly transport: Transport;
  private readonly session: Http2SessionManager;
  private readonly retryForMs: number;
  private readonly timeoutMs: number;

  constructor({ address, key, user, tls = false, retryForMs = 30_000, timeoutMs = 30_000 }: Options) {
    if (!PRINTABLE.test(key)) throw new RangeError("the key is empty, or has other than printable ASCII characters");
    if (user !== undefined && !(PRINTABLE.test(user) && user.length <= USER_CHARACTERS)) {
      throw new RangeError(`the user's name is 1 to ${USER_CHARACTERS} printable ASCII characters`);
    }
    const url = new URL(`${tls ? "https" : "http"}://${address}`);
    // URL leaves out the usual port of its protocol.
    const whole = url.port ? url.host : `${url.host}:${tls ? 443 : 80}`;
    if (whole !== address.toLowerCase()) throw new RangeError("the address is host:port");
    this.retryForMs = retryForMs;
    this.timeoutMs = timeoutMs;
    // The server allows a ping every 10 s.
    const pings = { pingIntervalMs: 11_000, pingTimeoutMs: 10_000 };
    this.session = new Http2SessionManager(url, pings, typeof tls === "object" ? tls : {});
    this.transport = createGrpcTransport({
      baseUrl: url.origin,
      sessionManager: this.session,
      interceptors: [
        (next) => (request) => {
          request.header.set("authorization", `Bearer ${key}`);
          if (user !== undefined) request.header.set("i2v-user", user);
          return next(request);
        },
      ],
    });
  }

  service<Service extends DescService>(service: Service): Client<Service> {
    return createClient(service, this.transport);
  }

  retries({ signal }: Call = {}): RetryPolicy {
    return new RetryPolicy(this.retryForMs, signal);
  }

  /** Makes a call until it is answered. */
  call<Answer>(made: (options: CallOptions) => Promise<Answer>, { signal }: Call = {}): Promise<Answer> {
    const options = { timeoutMs: this.timeoutMs, ...(signal && { signal }) };
    return this.retries({ signal }).answered(() => made(options));
  }

  /** Yields the messages of one call. */
  stream<Message>(made: (options: CallOptions) => AsyncIterable<Message>, { signal }: Call = {}) {
    return messages((ended) => made({ signal: ended }), signal);
  }

  close(): void {
    this.session.abort();
  }
}
