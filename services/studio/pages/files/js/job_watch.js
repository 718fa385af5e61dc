// Watches one job by server-sent events: each event once, also over a broken connection.
import { connection } from "./api.js";

const KINDS = ["admitted", "started", "progressed", "fragmentReady", "cancelRequested", "retrying", "continued", "submitting", "accepted", "released", "reconciling", "resumed", "promptWritten", "warned", "rerouted", "succeeded", "failed", "cancelled", "heartbeat"];
export const LAST = new Set(["succeeded", "failed", "cancelled"]);

/** Calls `heard(kind, data)` for each event of a job until it has ended. Returns a function that stops. */
export function watchJob(id, heard) {
  let source = null;
  let after = "";
  let timer = 0;
  let stopped = false;

  function open() {
    source = new EventSource(`/v1/jobs/${id}/events${after ? `?lastEventId=${after}` : ""}`);
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        if (event.lastEventId) after = event.lastEventId;
        connection.dispatchEvent(new Event("online"));
        const message = JSON.parse(event.data);
        heard(kind, kind === "heartbeat" ? message : message[kind], message);
        if (LAST.has(kind)) stop();
      });
    }
    source.addEventListener("error", () => {
      // A browser connects again by itself, unless it was refused. Refusals pass; a session that has ended does not come back.
      if (stopped || source.readyState !== EventSource.CLOSED) return;
      clearTimeout(timer);
      timer = setTimeout(open, 2000);
    });
  }

  /** A device that slept has a connection that looks open and is dead. */
  function again() {
    clearTimeout(timer);
    source?.close();
    open();
  }

  function stop() {
    stopped = true;
    connection.removeEventListener("signed-out", stop);
    document.removeEventListener("resume", again);
    removeEventListener("online", again);
    clearTimeout(timer);
    source?.close();
  }

  connection.addEventListener("signed-out", stop);
  document.addEventListener("resume", again);
  addEventListener("online", again);
  open();
  return stop;
}
