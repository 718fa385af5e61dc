// The price before the button: asked of the service for each change of the draft, with what is left and when it begins.
import { post } from "./api.js";
import { el } from "./dom.js";
import { fromNow, micros, money } from "./format.js";
import { problemNotice } from "./notice.js";

const PARTS = { VIDEO_SECONDS: "Video", MINIMUM_SECONDS: "Least that is billed", VIDEO: "Each video", PROMPT: "Writing the prompt, at most", FALLBACK_MODEL: "Reserve for another model" };

/** Returns {element, ask, wait, stale, of, failed, shown}. `answered(preview)` is called with each answer. */
export function priceBox(answered) {
  const amount = el("p", { class: "amount figures" });
  const lines = el("div", { class: "price-lines hint" });
  const wrong = el("div");
  const element = el("section", { class: "price", "aria-label": "Price" }, amount, lines, wrong);
  let turn = 0;
  let latest = null;
  let failed = false;
  let asked = null;

  /** Returns the answer for a spec; null: there is none. */
  const of = (spec) => (latest && JSON.stringify(asked) === JSON.stringify(spec) ? latest : null);

  /** The draft has changed: what is shown may hold no more. */
  const stale = () => element.setAttribute("aria-busy", "true");

  /** Says what is missing before there is a price. */
  function wait(sentence) {
    turn += 1;
    latest = null;
    element.removeAttribute("aria-busy");
    amount.textContent = "";
    wrong.replaceChildren();
    lines.replaceChildren(el("p", { text: sentence }));
  }

  async function ask(spec) {
    turn += 1;
    const mine = turn;
    stale();
    latest = null;
    failed = false;
    asked = spec;
    try {
      const preview = await post("/v1/jobs:preview", { spec });
      if (mine !== turn) return;
      latest = preview;
      failed = false;
      show(preview);
      answered(preview);
    } catch (problem) {
      if (mine !== turn) return;
      failed = problem.status === 0 || Boolean(problem.isAway);
      amount.textContent = "";
      lines.replaceChildren();
      wrong.replaceChildren(problemNotice(problem, () => ask(spec)));
    } finally {
      if (mine === turn) element.removeAttribute("aria-busy");
    }
  }

  function show(preview) {
    wrong.replaceChildren();
    if (!preview.quote) {
      amount.textContent = "";
      lines.replaceChildren(el("p", { text: "There is no price yet: see what is marked above." }));
      return;
    }
    amount.replaceChildren(money(preview.quote), el("span", { class: "hint", text: preview.frames ? ` · ${preview.frames} frames` : "" }));
    const exceeded = preview.limits.filter((each) => each.exceeded);
    const left = preview.budgetLeft;
    const parts = [];
    if (preview.lines.length > 1) parts.push(...preview.lines.map((line) => el("p", { text: `${PARTS[line.kind] || line.description}: ${money(line.amount)}` })));
    if (left && !exceeded.length) parts.push(el("p", { text: `${micros(left.amountMicros, left.currencyCode)} left afterwards` }));
    parts.push(el("p", { text: when(preview) }));
    lines.replaceChildren(...parts);
    wrong.replaceChildren(...exceeded.map((each) => el("p", { class: "wrong", text: each.resetTime ? `${each.message} It begins again ${fromNow(each.resetTime)}.` : each.message })));
  }

  return {
    element, ask, wait, stale, of,
    /** Whether there is no price because there was no connection, or no service. */
    get failed() { return failed; },
    /** The amount that a person sees; empty: none. */
    get shown() { return amount.firstChild?.textContent || ""; },
  };
}

function when(preview) {
  if (preview.expectedStartTime) {
    const ends = preview.expectedEndTime ? `, ready ${fromNow(preview.expectedEndTime)}` : "";
    return `Begins ${fromNow(preview.expectedStartTime)}${ends}`;
  }
  return preview.queuedJobs ? `${preview.queuedJobs} ${preview.queuedJobs === 1 ? "video waits" : "videos wait"} before it` : "Begins as soon as a worker is free";
}
