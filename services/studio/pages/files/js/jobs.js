// The caller's newest jobs, the same in every view and tab.
import { get, idOf } from "./api.js";

export const ENDED = new Set(["SUCCEEDED", "FAILED", "CANCELLED"]);
const POLL_MS = 2500;
const tabs = "BroadcastChannel" in window ? new BroadcastChannel("i2v-jobs") : null;
const known = new Map();
const readers = new Set();
let timer = 0;

/** Returns the jobs, the newest first. */
export const newest = () => [...known.values()].sort((a, b) => b.createTime.localeCompare(a.createTime));
export const unfinished = () => newest().filter((job) => !ENDED.has(job.state));
export const jobOf = (name) => known.get(name);

/** Calls a function now and after each change. Returns a function that ends it. */
export function follow(reader) {
  readers.add(reader);
  reader();
  return () => readers.delete(reader);
}

function changed() {
  for (const reader of readers) reader();
}

/** Takes what is newer than what is known of a job. Progress within an attempt never goes back. */
export function learn(job) {
  const before = known.get(job.name);
  if (before && Number(before.lastSequence) > Number(job.lastSequence)) return;
  known.set(job.name, { ...before, ...job });
  changed();
}

/** Changes some fields of a job that is known. */
export function change(name, fields) {
  const job = known.get(name);
  if (!job) return;
  known.set(name, { ...job, ...fields });
  changed();
}

/** Forgets a job that is no more. */
export function forget(name) {
  known.delete(name);
  changed();
}

/** Reads a job again. */
export async function reread(name) {
  const job = await get(`/v1/${name}`);
  known.set(job.name, { ...known.get(job.name), ...job });
  changed();
  return job;
}

/** Reads the newest jobs, and goes on while one of them has not ended. */
export async function refresh() {
  clearTimeout(timer);
  try {
    const page = await get("/v1/jobs", { pageSize: 50 });
    for (const job of page.jobs) learn(job);
    changed();
  } catch (problem) {
    if (problem.status === 401) return;
  }
  if (!document.hidden && unfinished().length) timer = setTimeout(refresh, POLL_MS);
}

/** Tells the other tabs that there is a new job, or another change. */
export function announce() {
  tabs?.postMessage("changed");
  clearTimeout(timer);
  timer = setTimeout(refresh, POLL_MS);
}

tabs?.addEventListener("message", refresh);
document.addEventListener("visibilitychange", () => !document.hidden && refresh());
document.addEventListener("resume", refresh);

/** Returns a job's input: its operation's name in the spec, and the fields of it. */
export function inputOf(spec) {
  for (const operation of ["imageToVideo", "textToVideo", "sceneAnimation", "talkingAvatar"]) {
    if (spec[operation]) return [operation, spec[operation]];
  }
  return ["", {}];
}

/** Returns what to call a job. */
export function titleOf(job) {
  const input = inputOf(job.spec)[1];
  return job.prompt || input.prompt || input.scene || `Video ${idOf(job.name).slice(0, 8)}`;
}
