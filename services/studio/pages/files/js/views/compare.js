// Two videos side by side, in step: one play button, one place, and what differs in their settings.
import { contentOf, get, idOf, renditionOf } from "../api.js";
import { button, el, icon, setIcon } from "../dom.js";
import { field, list } from "../field.js";
import { money, place, seconds, secondsOf, time } from "../format.js";
import { inputOf, titleOf } from "../jobs.js";
import { problemNotice } from "../notice.js";
import { player } from "../player.js";

const APART_S = 0.04;

export function mount(root, context, left = "", right = "") {
  const slot = (name) => root.querySelector(`[data-slot="${name}"]`);
  const sides = [];
  let jobs = [];
  let frame = 0;

  const play = button("Play both", toggle, { kind: "main", symbol: "play", only: true });
  const seek = el("input", { type: "range", min: "0", max: "0", step: "any", value: "0", "aria-label": "Place in both videos" });
  const at = el("span", { class: "figures small-text" });
  const loop = button("Loop", () => loop.setAttribute("aria-pressed", String(loop.getAttribute("aria-pressed") !== "true")), { kind: "quiet", symbol: "loop", only: true, "aria-pressed": "true" });

  async function begin() {
    try {
      jobs = (await get("/v1/jobs", { state: "SUCCEEDED", pageSize: 200 })).jobs;
      if (!jobs.length) {
        slot("whole").replaceChildren(el("div", { class: "empty" }, icon("compare"), el("p", { text: "Two finished videos can be compared. There is none yet." }), el("a", { class: "button main", href: "#/make", text: "Make a video" })));
        return;
      }
      const known = (id) => jobs.find((job) => idOf(job.name) === id);
      const first = known(left) || jobs[0];
      const second = known(right) || jobs.find((job) => job !== first && titleOf(job) === titleOf(first)) || jobs.find((job) => job !== first) || first;
      slot("pair").replaceChildren(side("Left video", first), side("Right video", second));
      slot("together").replaceChildren(button("One frame back", () => step(-1), { kind: "quiet", only: true, symbol: "back" }), play, button("One frame on", () => step(1), { kind: "quiet", only: true, symbol: "on" }), seek, at, loop);
      compare();
    } catch (problem) {
      slot("whole").replaceChildren(problemNotice(problem, begin));
    }
  }

  function side(label, job) {
    const made = { job, screen: player(label, { controls: false }) };
    sides.push(made);
    const chosen = list(jobs.map((each) => [each.name, `${titleOf(each).slice(0, 60)} · ${time(each.createTime)}`]), job.name, (name) => { made.job = jobs.find((each) => each.name === name); show(made); compare(); });
    made.screen.video.addEventListener("loadedmetadata", draw);
    made.screen.video.addEventListener("click", (event) => { event.stopImmediatePropagation(); toggle(); }, true);
    show(made);
    return el("div", { class: "stack" }, field(`side-${sides.length}`, label, chosen), made.screen.element);
  }

  function show({ job, screen }) {
    screen.load(contentOf(job.output.asset), renditionOf(job.output.asset, "poster"));
    screen.element.querySelector(".frame").style.aspectRatio = `${job.output.size.width} / ${job.output.size.height}`;
  }

  const videos = () => sides.map(({ screen }) => screen.video);
  const end = () => Math.max(0, ...sides.map(({ screen }) => screen.end()));
  const place0 = () => Math.max(...videos().map((video) => video.currentTime));

  function toggle() {
    const [first] = videos();
    if (!videos().some((video) => !video.paused)) {
      if (place0() >= end() - 0.05) move(0);
      for (const video of videos()) video.play().catch(() => {});
    } else for (const video of videos()) video.pause();
    setIcon(play, first.paused ? "play" : "pause");
  }

  function move(to) {
    for (const { screen } of sides) screen.video.currentTime = Math.min(to, Math.max(0, screen.end() - 0.001));
  }

  function step(frames) {
    for (const video of videos()) video.pause();
    move(Math.min(end(), Math.max(0, place0() + frames / (sides[0].job.output.fps || 16))));
  }

  function draw() {
    seek.max = end().toFixed(3);
    if (!seek.matches(":active")) seek.value = place0();
    at.textContent = `${place(place0())} / ${place(end())}`;
    seek.setAttribute("aria-valuetext", `${place0().toFixed(1)} of ${end().toFixed(1)} seconds`);
    const moving = videos().some((video) => !video.paused);
    setIcon(play, moving ? "pause" : "play");
    play.setAttribute("aria-label", moving ? "Pause both" : "Play both");
    play.title = play.getAttribute("aria-label");
  }

  /** Keeps the right one with the left one: decoders start at different moments. */
  function together() {
    frame = requestAnimationFrame(together);
    if (sides.length < 2) return;
    const [first, second] = videos();
    if (!first.paused && !second.paused && Math.abs(first.currentTime - second.currentTime) > APART_S && !second.seeking) second.currentTime = Math.min(first.currentTime, sides[1].screen.end());
    if (videos().every((video) => video.ended) && loop.getAttribute("aria-pressed") === "true") { move(0); for (const video of videos()) video.play().catch(() => {}); }
    draw();
  }

  function compare() {
    const facts = sides.map(({ job }) => {
      const input = inputOf(job.spec)[1];
      return { Prompt: job.prompt || input.prompt, "Negative prompt": input.negativePrompt, Model: job.spec.model, Seed: job.spec.seed, Length: seconds(secondsOf(job.output.duration)), Size: `${job.output.size.width} × ${job.output.size.height}`, Quality: job.spec.quality === "FAST" ? "Faster" : "Best", Guidance: input.guidanceScale, Cost: money(job.charged), Made: time(job.createTime) };
    });
    const rows = Object.keys(facts[0]).filter((name) => facts.some((each) => each[name] !== undefined && each[name] !== ""));
    slot("differences").replaceChildren(el("table", { class: "table" }, el("thead", {}, el("tr", {}, el("th", { scope: "col", text: "Setting" }), el("th", { scope: "col", text: "Left" }), el("th", { scope: "col", text: "Right" }))),
      el("tbody", {}, rows.map((name) => {
        const differs = facts[0][name] !== facts[1][name];
        return el("tr", { class: differs ? "differs" : "" }, el("th", { scope: "row" }, name, differs ? el("span", { class: "unseen", text: " (differs)" }) : null), facts.map((each) => el("td", { text: each[name] ?? "–" })));
      }))));
    history.replaceState(null, "", `#/compare/${idOf(sides[0].job.name)}/${idOf(sides[1].job.name)}`);
  }

  seek.addEventListener("input", () => move(Number(seek.value)));
  begin();
  frame = requestAnimationFrame(together);
  return () => {
    cancelAnimationFrame(frame);
    for (const video of videos()) { video.removeAttribute("src"); video.load(); }
  };
}
