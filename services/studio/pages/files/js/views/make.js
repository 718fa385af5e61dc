// The make view: the settings of a video from a model's card, its price, and the stage on which it plays.
import { connection, get, idOf, make } from "../api.js";
import { el, icon, later } from "../dom.js";
import { draftOf, randomSeed, reuse } from "../draft.js";
import { choices, focusWrong, showWrong } from "../field.js";
import { announce, follow, learn, newest } from "../jobs.js";
import { jobStage } from "../job_stage.js";
import { say } from "../live_region.js";
import { notice, problemNotice } from "../notice.js";
import { priceBox } from "../price.js";
import { OPERATIONS, fieldOf, missing, offerOf, specOf } from "../spec.js";
import { modelFields } from "../model_fields.js";
import { recentJobs } from "../recent_jobs.js";

export function mount(root, context, jobId = "") {
  const slot = (name) => root.querySelector(`[data-slot="${name}"]`);
  const form = root.querySelector("form");
  const [draft, keep] = draftOf(context.session);
  const wrong = el("div");
  const label = el("span", { text: "Make the video" });
  const start = el("button", { class: "button main big" }, icon("make"), label);
  let models = [];
  let fields = null;
  let onStage = "";
  let leaveStage = () => {};
  let busy = false;
  let tried = false;
  let left = false;

  const price = priceBox((preview) => {
    fields?.previewed(preview);
    const problems = preview.problems.map((each) => [fieldOf(each.field), each.description]);
    const others = showWrong(form, problems);
    wrong.replaceChildren(...others.map((sentence) => el("p", { class: "wrong", text: sentence })));
  });
  slot("pay").append(price.element, wrong, start);

  const card = () => models.find((each) => each.name === draft.model);
  const ask = later(250, () => {
    if (!card() || busy) return;
    const offer = offerOf(card(), draft.operation);
    const lacks = missing(draft, offer);
    if (tried) showWrong(form, lacks);
    if (lacks.some(([name]) => name === "picture" || name === "audio")) { price.wait("The exact price is here as soon as everything is there."); return; }
    // The price does not depend on the words; a text that is still empty is no mistake yet.
    const stand = { ...draft };
    if (lacks.some(([name]) => name === "prompt")) stand.prompt = "…";
    if (lacks.some(([name]) => name === "scene")) stand.scene = "…";
    price.ask(specOf(stand, card(), draft.operation));
  });
  const changed = () => { keep(); price.stale(); ask(); };

  function drawOperations() {
    const offered = Object.keys(OPERATIONS).filter((each) => models.some((model) => model.operations.includes(each)));
    if (!offered.includes(draft.operation)) [draft.operation] = offered;
    slot("operations").replaceChildren(choices("operation", "What to make", offered.map((each) => [each, OPERATIONS[each].label]), draft.operation, (value) => {
      draft.operation = value;
      drawFields();
      changed();
    }));
  }

  function drawFields() {
    fields?.leave();
    const able = models.filter((model) => model.operations.includes(draft.operation));
    if (!able.some((model) => model.name === draft.model)) draft.model = (able.find((model) => !model.drained) || able[0]).name;
    showWrong(form, []);
    tried = false;
    fields = modelFields(draft, able, card(), changed, () => { drawFields(); changed(); });
    slot("fields").replaceChildren(...fields.elements);
  }

  async function submit(event) {
    event?.preventDefault();
    if (busy || !card()) return;
    const lacks = missing(draft, offerOf(card(), draft.operation));
    tried = true;
    if (lacks.length) { showWrong(form, lacks); focusWrong(form); return; }
    busy = true;
    start.setAttribute("aria-disabled", "true");
    wrong.replaceChildren();
    const spec = specOf(draft, card(), draft.operation);
    try {
      const bound = await bind(spec);
      if (bound === null) return;
      const job = await make("/v1/jobs", { spec, ...(bound ? { quoteToken: bound } : {}) }, spec);
      learn(job);
      announce();
      say("The video was ordered.");
      tried = false;
      if (!draft.seedLocked) { draft.seed = randomSeed(); fields.seed(draft.seed); }
      show(job.name);
      slot("stage").scrollIntoView({ block: "nearest" });
      changed();
      history.replaceState(null, "", `#/make/${idOf(job.name)}`);
    } catch (problem) {
      if (!problem.violations) throw problem;
      const others = showWrong(form, problem.violations.map((each) => [fieldOf(each.field), each.description]));
      if (!problem.violations.length || others.length) wrong.replaceChildren(problemNotice(problem, () => submit()));
      else focusWrong(form);
      if (problem.reason.startsWith("QUOTE_")) ask();
    } finally {
      busy = false;
      start.removeAttribute("aria-disabled");
      if (price.element.hasAttribute("aria-busy")) ask(); // it changed while the order was on its way
    }
  }

  /** Returns the token of the price of a spec; null: there is none that the person has seen. */
  async function bind(spec) {
    if (!price.of(spec)) {
      const seen = price.shown;
      await price.ask(spec);
      if (price.of(spec)?.quote && seen && seen !== price.shown) {
        wrong.replaceChildren(notice("The price has changed", `It is ${price.shown} now, and was ${seen}. Start again, if that is right. Nothing was charged.`, { kind: "warn" }));
        return null;
      }
    }
    if (!price.of(spec)?.quote) { focusWrong(form); return null; }
    return price.of(spec).quoteToken;
  }

  function show(name) {
    if (name === onStage) return;
    leaveStage();
    onStage = name;
    leaveStage = jobStage(slot("stage"), name, { reuse: again, cardOf: (id) => models.find((each) => idOf(each.name) === id) });
  }

  /** Takes the settings of a job; `now`: another seed, and starts. */
  function again(job, now) {
    reuse(draft, job);
    if (now) Object.assign(draft, { seed: randomSeed(), seedLocked: false });
    drawOperations();
    drawFields();
    changed();
    if (now) submit();
    else { form.querySelector("textarea, select")?.focus(); say("The settings are in the form."); }
  }

  function empty() {
    slot("stage").replaceChildren(el("div", { class: "player" }, el("div", { class: "frame" }, el("div", { class: "over" }, el("strong", { text: "Your video plays here, while it is made" }), el("span", { text: "Add a picture, say how it moves, and look at the price." })))));
  }

  async function begin() {
    try {
      models = (await get("/v1/catalog/models")).models;
      drawOperations();
      drawFields();
      ask();
      form.dataset.ready = "";
    } catch (problem) {
      slot("fields").replaceChildren(problemNotice(problem, begin));
      if (problem.mayPass) setTimeout(() => !left && !fields && begin(), 2000);
    }
  }

  const onOnline = () => { if (price.failed) ask(); };
  connection.addEventListener("online", onOnline);
  form.addEventListener("submit", submit);
  empty();
  begin();
  if (jobId) show(`jobs/${jobId}`);
  const unfollow = follow(() => {
    recentJobs(slot("recent"), newest().slice(0, 12), onStage, (name) => { show(name); history.replaceState(null, "", `#/make/${idOf(name)}`); });
    if (!onStage && newest().length) show(newest()[0].name);
  });

  return () => {
    left = true;
    connection.removeEventListener("online", onOnline);
    unfollow();
    fields?.leave();
    leaveStage();
  };
}
