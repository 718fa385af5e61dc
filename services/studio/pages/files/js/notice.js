// Notices: what went wrong, and the way out.
import { adviceOn } from "./advice.js";
import { button, el, icon } from "./dom.js";

/** Returns a notice. `actions`: buttons. */
export function notice(title, text = "", { kind = "", actions = [], alert = true } = {}) {
  return el("div", { class: `notice ${kind}`, role: alert ? "alert" : null },
    icon(kind === "good" ? "check" : "warning"),
    el("div", {}, el("strong", { text: title }), text && el("p", { text }), actions.length ? el("div", { class: "row" }, actions) : null));
}

/** Returns the notice of a problem. `again` repeats what failed, if that helps. */
export function problemNotice(problem, again = null) {
  if (!("violations" in problem)) {
    console.error(problem);
    return notice("This page failed", "Reload it. Your videos are kept.", { actions: [button("Reload", () => location.reload(), { kind: "small" })] });
  }
  const { title, detail, step } = adviceOn(problem);
  const actions = [];
  if (problem.status === 401) actions.push(el("a", { class: "button small", href: "/sign-in", text: "Sign in" }));
  else if (again && (problem.mayPass || problem.status >= 500)) actions.push(button("Try again", again, { kind: "small", symbol: "again" }));
  return notice(title, step ? `${detail} ${step}` : detail, { actions });
}
