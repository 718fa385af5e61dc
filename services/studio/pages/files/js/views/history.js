// History: every job of the person with its state, filtered by state and words.
import { get, idOf, post, remove, renditionOf } from "../api.js";
import { button, el, icon, later, redraw } from "../dom.js";
import { choices } from "../field.js";
import { money, time } from "../format.js";
import { ENDED, announce, follow, forget, inputOf, jobOf, learn, titleOf } from "../jobs.js";
import { STATES } from "../job_state.js";
import { problemNotice } from "../notice.js";
import { sure } from "../question.js";

const FILTERS = [["", "All"], ["RUNNING", "Being made"], ["QUEUED", "Waiting"], ["SUCCEEDED", "Ready"], ["FAILED", "Failed"], ["CANCELLED", "Stopped"]];

export function mount(root) {
  const slot = (name) => root.querySelector(`[data-slot="${name}"]`);
  const words = root.querySelector("input");
  const more = button("Show more", () => read(false), { kind: "small" });
  const rows = new Map();
  let state = "";
  let token = "";
  let names = [];
  let turn = 0;

  async function read(fresh) {
    turn += 1;
    const mine = turn;
    more.remove();
    try {
      const page = await get("/v1/jobs", { state, pageSize: 50, pageToken: fresh ? "" : token });
      if (mine !== turn) return;
      token = page.nextPageToken;
      if (fresh) names = [];
      for (const job of page.jobs) { learn(job); names.push(job.name); }
      draw();
      if (token) slot("more").replaceChildren(more);
    } catch (problem) {
      if (mine === turn) slot("jobs").replaceChildren(el("li", {}, problemNotice(problem, () => read(fresh))));
    }
  }

  function fits(job) {
    const given = words.value.trim().toLowerCase();
    const text = [titleOf(job), job.spec.model, job.spec.seed, inputOf(job.spec)[1].story].join(" ").toLowerCase();
    return given.split(/\s+/).every((word) => text.includes(word));
  }

  function draw() {
    const shown = names.map(jobOf).filter((job) => job && fits(job));
    redraw(slot("jobs"), shown.map((job) => {
      const key = `${job.state} ${job.stage} ${job.progress} ${job.lastSequence}`;
      const kept = rows.get(job.name);
      if (kept?.dataset.key === key) return kept;
      const made = row(job, key);
      rows.set(job.name, made);
      return made;
    }));
    slot("count").textContent = shown.length ? `${shown.length} ${shown.length === 1 ? "video" : "videos"}${token ? ", and older ones" : ""}` : "";
    if (!shown.length) slot("jobs").replaceChildren(el("li", { class: "empty" }, icon("history"), el("p", { text: words.value || state ? "No video fits. Change the filter." : "There is no video yet." }), el("a", { class: "button main", href: "#/make", text: "Make a video" })));
  }

  function row(job, key) {
    const [label, kind] = STATES[job.state] || [job.state, ""];
    const ended = ENDED.has(job.state);
    const picture = job.output ? el("img", { src: renditionOf(job.output.asset, "thumbnail-256"), alt: "", loading: "lazy" }) : el("span", { class: "no-picture" }, icon(job.state === "FAILED" ? "warning" : ended ? "close" : "clock"));
    const cost = ended ? money(job.charged) : `${money(job.quote)} reserved`;
    const stop = button("Stop", () => { stop.disabled = true; post(`/v1/${job.name}:cancel`).then((now) => { learn(now); announce(); }, (problem) => { stop.replaceWith(problemNotice(problem)); }); }, { kind: "small danger", symbol: "stop", "aria-label": `Stop ${titleOf(job)}`, disabled: job.state === "CANCELLING" });
    const away = button("Remove", async () => {
      const consequence = job.output ? "The job leaves your history. Its video stays in your library." : "The job leaves your history.";
      if (!await sure(`Remove “${titleOf(job)}” from the history?`, consequence, "Remove")) return;
      away.disabled = true;
      remove(`/v1/${job.name}`).then(() => { forget(job.name); announce(); }, (problem) => { away.replaceWith(problemNotice(problem)); });
    }, { kind: "small", symbol: "trash", "aria-label": `Remove ${titleOf(job)} from the history` });
    const bar = ended ? null : el("span", { class: "bar", role: "progressbar", "aria-label": `Progress of ${titleOf(job)}`, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": String(Math.round((job.progress || 0) * 100)) }, el("span"));
    if (bar) bar.firstChild.style.width = `${Math.round((job.progress || 0) * 100)}%`;
    return el("li", { class: "job card", "data-key": key, "data-row": job.name }, picture,
      el("div", { class: "job-text" }, el("a", { class: "job-link", href: `#/make/${idOf(job.name)}`, text: titleOf(job) }),
        el("p", { class: "hint" }, el("span", { class: `state ${kind}`, text: label }), ` ${job.spec.model} · ${cost} · ${time(job.createTime)}`),
        job.error ? el("p", { class: "wrong", text: job.error.message }) : null, bar),
      el("div", { class: "row" }, ended ? away : stop, job.output ? el("a", { class: "button small", href: `#/compare/${idOf(job.name)}`, "aria-label": `Compare ${titleOf(job)}` }, icon("compare"), el("span", { text: "Compare" })) : null));
  }

  slot("state").append(choices("state", "State", FILTERS, "", (value) => { state = value; read(true); }));
  words.addEventListener("input", later(150, draw));
  root.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  read(true);
  return follow(later(100, () => root.isConnected && names.length && draw()));
}
