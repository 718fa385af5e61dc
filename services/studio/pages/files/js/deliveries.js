// The newest deliveries to a webhook. While one waits they are read again.
import { get } from "./api.js";
import { el } from "./dom.js";
import { fromNow, words } from "./format.js";
import { problemNotice } from "./notice.js";

const AGAIN_MS = 1000;
const LONG_MS = 15000;

/** Returns {element, read, leave}. `read()` shows them, and goes on while one has not reached its end. */
export function deliveriesOf(hook) {
  const element = el("div");
  let timer = 0;
  let left = false;
  let drawn = "";
  let turn = 0;

  async function read() {
    clearTimeout(timer);
    turn += 1;
    const mine = turn;
    try {
      const { deliveries } = await get(`/v1/${hook.name}/deliveries`, { pageSize: 20 });
      if (left || mine !== turn) return;
      draw(deliveries);
      const soon = deliveries.filter((each) => each.state === "WAITING").map((each) => (each.nextTryTime ? new Date(each.nextTryTime) - Date.now() : 0));
      if (soon.length && !document.hidden) timer = setTimeout(read, Math.min(LONG_MS, Math.max(AGAIN_MS, Math.min(...soon))));
    } catch (problem) {
      if (left || mine !== turn) return;
      drawn = "";
      element.replaceChildren(problemNotice(problem, read));
    }
  }

  function draw(deliveries) {
    const rows = deliveries.map((each) => [each.eventType, words(each.state), String(each.tries), each.lastError ? words(each.lastError) : String(each.lastStatus || "–"), fromNow(each.createTime)]);
    const key = JSON.stringify(rows);
    if (key === drawn) return;
    drawn = key;
    const head = ["Event", "State", "Tries", "Answer", "When"].map((text) => el("th", { scope: "col", text }));
    const body = el("tbody", {}, rows.map((row) => el("tr", {}, row.map((text) => el("td", { text })))));
    const before = element.querySelector("tbody");
    if (!rows.length) element.replaceChildren(el("p", { class: "hint", text: "Nothing was sent yet." }));
    else if (before) before.replaceWith(body);
    else element.replaceChildren(el("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": `Deliveries to ${hook.url}` }, el("table", { class: "table" }, el("thead", {}, el("tr", {}, head)), body)));
  }

  const onVisible = () => !document.hidden && read();
  document.addEventListener("visibilitychange", onVisible);
  return {
    element, read,
    leave() { left = true; clearTimeout(timer); document.removeEventListener("visibilitychange", onVisible); },
  };
}
