// One job on the stage: it plays while it is made; then what it cost, how it was made, and what to do next.
import { call, contentOf, get, idOf, make, post, renditionOf } from "./api.js";
import { button, el } from "./dom.js";
import { fromNow, money, seconds, secondsOf, span, time, words } from "./format.js";
import { ENDED, announce, change, follow, inputOf, jobOf, learn, reread, titleOf } from "./jobs.js";
import { LAST, watchJob } from "./job_watch.js";
import { LivePlayer } from "./live_player.js";
import { say } from "./live_region.js";
import { notice, problemNotice } from "./notice.js";
import { player } from "./player.js";
import { STATES } from "./job_state.js";

/** Shows a job. `reuse(job, again)`: takes its settings; `again`: with another seed, at once. `cardOf(id)`: a model. Returns what leaves it. */
export function jobStage(root, name, { reuse, cardOf }) {
  const id = idOf(name);
  const screen = player("The video", { fps: 16 });
  const over = el("div", { class: "over" });
  screen.element.querySelector(".frame").append(over);
  const title = el("h2", { class: "job-title", hidden: true });
  const state = el("span", { class: "state" });
  const bar = el("div", { class: "bar", role: "progressbar", "aria-label": "Progress of the video", "aria-valuemin": "0", "aria-valuemax": "100" }, el("span"));
  const stage = el("p", { class: "hint figures" });
  const stop = button("Stop", cancel, { kind: "danger", symbol: "stop" });
  const progress = el("div", { class: "progress" }, bar, el("div", { class: "row" }, stage, stop));
  const trouble = el("div");
  const actions = el("div", { class: "row" });
  const details = el("div");
  root.replaceChildren(screen.element, el("div", { class: "under" }, el("div", { class: "row title-row" }, title, state), progress, trouble, actions, details));

  let live = null;
  let frames = 0;
  let said = -1;
  let shown = "";
  let left = false;
  let ending = false;
  let again = 0;
  let unwatch = () => {};
  const clock = setInterval(() => showProgress(), 1000);

  function cancel() {
    stop.disabled = true;
    post(`/v1/${name}:cancel`).then((job) => { learn(job); announce(); draw(); }, (problem) => { stop.disabled = false; trouble.replaceChildren(problemNotice(problem, cancel)); });
  }

  /** Says something over the picture; `low`: below what can be seen. */
  function cover(text, low = false) {
    over.textContent = text;
    over.classList.toggle("low", low);
  }

  const fragments = new Map();
  function heard(kind, data) {
    if (kind === "progressed") change(name, { progress: data.progress, stage: data.stage, state: jobOf(name)?.state === "QUEUED" ? "RUNNING" : jobOf(name)?.state });
    else if (kind === "started") change(name, { state: "RUNNING", attempt: data.attempt, startTime: jobOf(name)?.startTime || new Date().toISOString() });
    else if (kind === "cancelRequested") change(name, { state: "CANCELLING" });
    else if (kind === "heartbeat") change(name, data);
    else if (kind === "promptWritten") change(name, { prompt: data.prompt });
    else if (kind === "warned") trouble.append(notice("The video is not quite as ordered", data.message, { kind: "warn", alert: false }));
    else if (kind === "retrying") trouble.replaceChildren(notice("It is tried again", data.error.message, { kind: "warn", alert: false }));
    else if (kind === "reconciling") change(name, { state: "RECONCILING" });
    else if (kind === "fragmentReady") {
      for (const index of fragments.keys()) if (index > data.index) fragments.delete(index);
      fragments.set(data.index, data.frames);
      frames = [...fragments.values()].reduce((sum, each) => sum + each, 0);
      change(name, { progress: data.progress });
      live?.poke();
    }
    if (LAST.has(kind)) {
      live?.poke();
      conclude();
      return;
    }
    draw();
  }

  /** Shows the end, once. */
  function conclude() {
    if (ending || left) return;
    ending = true;
    reread(name).then((job) => { if (!left) { draw(); say(spoken(job)); announce(); } }, () => { ending = false; setTimeout(conclude, 2000); });
  }

  function spoken(job) {
    if (job.state === "SUCCEEDED") return `The video is ready. It cost ${money(job.charged)}.`;
    if (job.state === "CANCELLED") return `The video was stopped. It cost ${money(job.charged)}.`;
    return `The video failed. ${job.error?.message || ""}`;
  }

  function elapsed(job) {
    const begins = new Date(job.startTime || job.createTime);
    return Math.max(0, ((job.endTime ? new Date(job.endTime) : new Date()) - begins) / 1000);
  }

  function showProgress() {
    const job = jobOf(name);
    if (!job || ENDED.has(job.state)) return;
    const percent = Math.round((job.progress || 0) * 100);
    bar.firstChild.style.width = `${percent}%`;
    bar.setAttribute("aria-valuenow", String(percent));
    const parts = [];
    if (job.state === "QUEUED") {
      parts.push(job.queuePlace > 1 ? `Number ${job.queuePlace} in the queue` : "Waits for a worker");
      if (job.expectedStartTime) parts.push(`begins ${fromNow(job.expectedStartTime)}`);
    } else {
      parts.push(`${percent} %`, words(job.stage));
      if (frames) parts.push(`${frames} frames`);
      parts.push(span(elapsed(job)));
    }
    stage.textContent = parts.join(" · ");
    bar.setAttribute("aria-valuetext", stage.textContent);
    const quarter = Math.floor(percent / 25);
    if (job.state === "RUNNING" && quarter > said) { said = quarter; if (quarter) say(`${quarter * 25} percent.`); }
  }

  function draw() {
    const job = jobOf(name);
    if (!job || left) return;
    title.textContent = titleOf(job);
    title.hidden = false;
    const [label, kind] = STATES[job.state] || [words(job.state), ""];
    state.textContent = label;
    state.className = `state ${kind}`;
    const ended = ENDED.has(job.state);
    progress.hidden = ended;
    stop.disabled = job.state === "CANCELLING";
    stop.querySelector("span").textContent = job.state === "CANCELLING" ? "Stopping …" : "Stop";
    showProgress();
    const waits = !ended && !frames && !live?.next;
    if (waits || ended || !frames) cover(waits ? waiting(job) : (ended && !job.output && !frames ? "There is no video" : ""));
    const size = job.output?.size || job.spec.size;
    if (size?.width) screen.element.querySelector(".frame").style.aspectRatio = `${size.width} / ${size.height}`;
    if (ended && shown !== job.state) { shown = job.state; drawEnd(job); }
  }

  function waiting(job) {
    if (job.state === "QUEUED") return "It waits for its turn";
    return cardOf(job.spec.model)?.remote ? "The vendor is making it, and sends it when it is complete" : "The first frames are being made";
  }

  function drawEnd(job) {
    const works = [];
    if (job.output) {
      const { asset } = job.output;
      const name = `${titleOf(job).slice(0, 60).replaceAll(/[\\/:*?"<>|\s]+/g, " ").trim() || "video"}.mp4`;
      if (!live) screen.load(contentOf(asset), renditionOf(asset, "poster"));
      else screen.video.addEventListener("ended", () => !left && screen.load(contentOf(asset), renditionOf(asset, "poster")), { once: true });
      works.push(el("a", { class: "button main small", href: contentOf(asset, name), download: name }, "Download"),
        el("a", { class: "button small", href: renditionOf(asset, "poster"), download: "poster.jpg" }, "Poster"));
      get(`/v1/${asset}`).then((found) => found.audioDuration && screen.hasSound(), () => {});
    }
    const seeded = job.spec.seed !== undefined;
    works.push(button(seeded ? "Again with another seed" : "Again", () => reuse(job, true), { kind: "small", symbol: "again" }), button("Reuse settings", () => reuse(job, false), { kind: "small", symbol: "reuse" }));
    if (job.output) works.push(el("a", { class: "button small", href: `#/compare/${idOf(job.name)}` }, "Compare"));
    actions.replaceChildren(...works);
    if (job.state === "FAILED") {
      const paths = [];
      if (job.error.resumable) paths.push(button("Fetch the paid video", () => make(`/v1/${job.name}:resume`, {}).then((next) => { learn(next); announce(); location.hash = `#/make/${idOf(next.name)}`; }, (problem) => trouble.replaceChildren(problemNotice(problem))), { kind: "small" }));
      const step = job.error.resumable ? "It is paid for: fetch it, at no further charge." : job.error.retryable ? "Try it again: the same settings may work." : "Change the settings, then try again.";
      trouble.replaceChildren(notice("The video could not be made", `${job.error.message} ${step}`, { actions: paths }));
    } else if (job.state === "CANCELLED") trouble.replaceChildren(notice("Stopped", frames ? "What was made until then can be played." : "", { kind: "warn", alert: false }));
    const cost = job.charged ? ` · ${money(job.charged)}` : "";
    details.replaceChildren(el("details", { class: "about", open: matchMedia("(min-width: 70rem)").matches }, el("summary", { text: `Details${cost}` }), factsOf(job)));
  }

  function factsOf(job) {
    const [, input] = inputOf(job.spec);
    const { output, spec } = job;
    const card = cardOf(spec.model);
    const quality = !card || card.qualities.length > 1 ? { FAST: "Faster", QUALITY: "Best" }[spec.quality] : "";
    const facts = [
      ["Cost", job.refunded ? `${money(job.charged)}, of which ${money(job.refunded)} was refunded` : money(job.charged)],
      ["Prompt", job.prompt || input.prompt], ["Scene", input.scene], ["Story", input.story], ["Negative prompt", input.negativePrompt], ["Guidance", input.guidanceScale], ["Seed", spec.seed],
      ["Model", card ? `${card.displayName} (${spec.model})` : spec.model], ["Resolution", spec.resolution], ["Quality", quality],
      ["Video", output && `${output.size.width} × ${output.size.height} · ${seconds(secondsOf(output.duration))} · ${output.frames} frames`],
      ["Made", job.startTime ? `${time(job.startTime)}, in ${span(elapsed(job))}` : time(job.createTime)],
    ].filter(([, value]) => value);
    const list = el("dl", { class: "facts" }, facts.flatMap(([label, value]) => [el("dt", { text: label }), el("dd", { text: value })]));
    if (output) list.append(el("dt", { text: "Provenance" }), provenance(output.asset));
    return list;
  }

  function provenance(asset) {
    const said = el("span", { class: "row" });
    const look = button("Check the signature", async () => {
      said.replaceChildren("Checking …");
      try {
        const found = await call("POST", `/v1/${asset}:verify`, { body: {} });
        said.replaceChildren(verdict(found), " ", el("a", { href: `/v1/${asset}/manifest`, target: "_blank", rel: "noopener", text: "Manifest" }));
      } catch (problem) {
        said.replaceChildren(problemNotice(problem));
      }
    }, { kind: "small" });
    said.append(look);
    return el("dd", {}, said);
  }

  async function begin() {
    try {
      clearTimeout(again);
      const job = await reread(name);
      if (left) return;
      trouble.replaceChildren();
      draw();
      if (ENDED.has(job.state)) return;
      live = new LivePlayer(screen.video, id, (heardState) => {
        if (left) return;
        if (heardState === "playing") cover("");
        if (heardState === "none") { live = null; const now = jobOf(name); if (now?.output) screen.load(contentOf(now.output.asset), renditionOf(now.output.asset, "poster")); }
      });
      live.run();
      unwatch = watchJob(id, heard);
    } catch (problem) {
      if (left) return;
      trouble.replaceChildren(problemNotice(problem, begin));
      if (problem.mayPass) again = setTimeout(begin, 2000);
    }
  }
  screen.video.addEventListener("waiting", () => { if (live && !live.complete && frames) cover("Waiting for the next frames", true); });
  screen.video.addEventListener("playing", () => cover(""));
  begin();
  // The list of jobs says it too, if the stream of events is broken without a word.
  const unfollow = follow(() => {
    const job = jobOf(name);
    if (job && live && ENDED.has(job.state) && shown !== job.state) { unwatch(); live.poke(); conclude(); }
  });

  return () => {
    left = true;
    unfollow();
    clearInterval(clock);
    clearTimeout(again);
    unwatch();
    live?.release();
    screen.video.removeAttribute("src");
    screen.video.load();
  };
}

function verdict(found) {
  const verdicts = { GENUINE: "Genuine: made here, and unchanged since", ALTERED: "Altered after it was made", FOREIGN: "Signed by someone else", UNSIGNED: "It carries no signature" };
  return el("span", { text: verdicts[found.verdict] || words(found.verdict) });
}
