/** When a call that was not answered is repeated, and when that stops. */
import { setTimeout as pause } from "node:timers/promises";
import { I2VError } from "./i2v-error.js";

const FIRST_MS = 100;
const MOST_MS = 5_000;

/** Counts the time without contact, and waits between tries. */
export class RetryPolicy {
  private lastContact = performance.now();
  private tries = 0;

  constructor(
    private readonly retryForMs: number,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** The server has answered. */
  contact(): void {
    this.lastContact = performance.now();
    this.tries = 0;
  }

  /**
   * Waits before the next try, at least as long as the server asks for. Raises the error if a repeat cannot help, or if
   * the time is over. There is always a second try: the first may have been lost with a server that hangs.
   */
  async wait(cause: unknown): Promise<void> {
    this.signal?.throwIfAborted();
    const error = I2VError.of(cause);
    if (!(error instanceof I2VError) || !error.unreachable) throw error;
    const left = Math.max(this.lastContact + this.retryForMs - performance.now(), 0);
    const growing = Math.min(FIRST_MS * 2 ** this.tries, MOST_MS) * (0.5 + Math.random() / 2);
    const pauseMs = Math.max(Math.min(growing, left), (error.retryAfterSeconds ?? 0) * 1000);
    if (pauseMs > left || (left === 0 && this.tries > 0)) throw error;
    this.tries += 1;
    await pause(pauseMs, undefined, this.signal ? { signal: this.signal } : {});
  }

  /** Makes a call until it is answered. */
  async answered<Answer>(call: () => Promise<Answer>): Promise<Answer> {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        await this.wait(error);
      }
    }
  }
}
