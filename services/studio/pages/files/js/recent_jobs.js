// The newest jobs as a strip of pictures.
import { idOf, renditionOf } from "./api.js";
import { el, icon } from "./dom.js";
import { ENDED, titleOf } from "./jobs.js";
import { STATES } from "./job_state.js";

/** Draws the strip again, and leaves what has not changed. `chosen(name)` shows a job. */
export function recentJobs(root, jobs, current, chosen) {
  const before = new Map([...root.children].map((each) => [each.dataset.key, each]));
  root.replaceChildren(...jobs.map((job) => {
    const key = `${job.name} ${job.state} ${job.output?.asset || ""}`;
    const kept = before.get(key) || made(job, key, chosen);
    const link = kept.querySelector("a");
    if (job.name === current) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    const bar = kept.querySelector(".bar span");
    if (bar) bar.style.width = `${Math.round((job.progress || 0) * 100)}%`;
    return kept;
  }));
  root.closest("section").hidden = !jobs.length;
}

function made(job, key, chosen) {
  const [label, kind] = STATES[job.state] || ["", ""];
  const picture = job.output
    ? el("img", { src: renditionOf(job.output.asset, "thumbnail-256"), alt: "", loading: "lazy" })
    : el("span", { class: "no-picture" }, icon(job.state === "FAILED" ? "warning" : ENDED.has(job.state) ? "close" : "clock"));
  return el("li", { "data-key": key },
    el("a", { href: `#/make/${idOf(job.name)}`, onclick: (event) => { event.preventDefault(); chosen(job.name); } }, picture,
      ENDED.has(job.state) ? null : el("span", { class: "bar" }, el("span")),
      el("span", { class: "strip-title", text: titleOf(job) }), el("span", { class: `state ${kind}`, text: label })));
}
