/** The messages of a stream, which counts as broken when none comes for three of the server's heartbeats. */
import { Code, ConnectError } from "@connectrpc/connect";

const SILENCE_MS = 45_000;

/** Yields the messages of a call. The call ends when its reader stops. */
export async function* messages<Message>(
  call: (signal: AbortSignal) => AsyncIterable<Message>,
  signal: AbortSignal | undefined,
  silenceMs = SILENCE_MS,
): AsyncGenerator<Message, void, void> {
  const ended = new AbortController();
  const end = () => ended.abort(signal?.reason);
  let silent = false;
  const timer = setTimeout(() => {
    silent = true;
    ended.abort();
  }, silenceMs);
  signal?.addEventListener("abort", end);
  try {
    signal?.throwIfAborted();
    for await (const message of call(ended.signal)) {
      timer.refresh();
      yield message;
      timer.refresh();
    }
  } catch (error) {
    if (silent) throw new ConnectError(`No message came for ${silenceMs / 1000} s.`, Code.Unavailable);
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
    ended.abort();
  }
}
