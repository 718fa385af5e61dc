// Calls /v1. The cookie of the session is the credential; the page never sees it.
import { uuid } from "./dom.js";

/** What was refused, or failed. `reason` is a stable word, `violations` name the fields. */
export class Problem extends Error {
  constructor(status, body = {}, retryAfter = 0) {
    super(body.detail || "The service did not answer as expected.");
    this.status = status;
    this.reason = body.reason || (status === 0 ? "OFFLINE" : "UNKNOWN");
    this.violations = body.violations || [];
    this.limits = body.limits || [];
    this.metadata = body.metadata || {};
    this.retryAfter = retryAfter;
  }

  /** Whether the service itself is not there: a proxy answers in its place, or the HTTP process for the API. */
  get isAway() {
    return this.reason === "API_UNAVAILABLE" || ([502, 503, 504].includes(this.status) && this.reason === "UNKNOWN");
  }

  /** Whether the same call may do later. */
  get mayPass() {
    return this.status === 0 || [502, 503, 504].includes(this.status);
  }
}

/** Says `signed-out`, `offline`, `away` and `online` to the page. */
export const connection = new EventTarget();
/** Milliseconds until a call without an answer is given up: a device that slept has connections that are dead. */
const PATIENCE_MS = 60_000;

function noted(problem) {
  const kind = { 0: "offline", 401: "signed-out" }[problem.status] || (problem.isAway ? "away" : "online");
  connection.dispatchEvent(new Event(kind));
  return problem;
}

function unreachable() {
  const detail = navigator.onLine ? "The service cannot be reached." : "This device is offline.";
  return noted(new Problem(0, { detail }));
}

async function problemOf(response) {
  let body = {};
  try { body = await response.json(); } catch { /* a proxy answered */ }
  return noted(new Problem(response.status, body, Number(response.headers.get("Retry-After")) || 0));
}

/** Calls an operation and returns its JSON. Throws Problem. `key`: an Idempotency-Key, for what makes something. */
export async function call(method, path, { body, key, signal, etag } = {}) {
  const headers = { "I2V-Page": "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  if (etag) headers["If-Match"] = etag;
  let response;
  try {
    const patience = AbortSignal.timeout(PATIENCE_MS);
    response = await fetch(path, { method, headers, signal: signal ? AbortSignal.any([signal, patience]) : patience, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (!response.ok) throw await problemOf(response);
  connection.dispatchEvent(new Event("online"));
  return response.status === 204 ? null : response.json();
}

/** Reads. `query`: names and values; a list repeats its name, and what is empty is left out. */
export function get(path, query = {}, options = {}) {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of [value].flat()) if (each !== "" && each !== null && each !== undefined) asked.append(name, each);
  }
  const text = asked.toString();
  return call("GET", text ? `${path}?${text}` : path, options);
}

export const post = (path, body = {}, options = {}) => call("POST", path, { body, ...options });
export const patch = (path, body, options = {}) => call("PATCH", path, { body, ...options });
export const remove = (path, options = {}) => call("DELETE", path, options);

const unanswered = new Map(); // the key and the body of what may have been made

/**
 * Makes something once: a lost answer is asked for again with the same key, also when a person repeats it later.
 * `what`: the part of the body that says what is made. Throws Problem.
 */
export async function make(path, body, what = body) {
  const id = `${path} ${JSON.stringify(what)}`;
  const [key, sent] = unanswered.get(id) || [uuid(), body];
  for (let tries = 1; ; tries += 1) {
    try {
      const made = await post(path, sent, { key });
      unanswered.delete(id);
      return made;
    } catch (problem) {
      if (problem.status === 0 || problem.status >= 500) unanswered.set(id, [key, sent]);
      else unanswered.delete(id);
      if (!problem.mayPass || tries === 3) throw problem;
      await new Promise((done) => setTimeout(done, 1000 * Math.max(tries, Math.min(problem.retryAfter, 5))));
    }
  }
}

/** Uploads a file as it is, and returns its asset. `progress` gets the share, 0 to 1. Throws Problem. */
export function upload(file, { title = "", progress = () => {} } = {}) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    const query = title ? `?${new URLSearchParams({ title: title.slice(0, 500) })}` : "";
    request.open("POST", `/v1/uploads${query}`);
    request.setRequestHeader("I2V-Page", "1");
    request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    request.responseType = "json";
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onerror = () => failed(unreachable());
    request.onload = () => {
      if (request.status < 300) done(request.response);
      else failed(noted(new Problem(request.status, request.response || {}, Number(request.getResponseHeader("Retry-After")) || 0)));
    };
    request.send(file);
  });
}

/** Returns the id in a resource name: the part after the last slash. */
export const idOf = (name) => name.slice(name.lastIndexOf("/") + 1);
/** Returns the address of an asset's bytes. `download`: the name under which a browser saves them. */
export const contentOf = (asset, download = "") =>
  `/v1/${asset}/content${download ? `?download=${encodeURIComponent(download)}` : ""}`;
/** Returns the address of a variant of an asset, such as `thumbnail-256`. */
export const renditionOf = (asset, variant) => `/v1/${asset}/renditions/${variant}/content`;
