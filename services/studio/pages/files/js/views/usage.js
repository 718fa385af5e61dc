// Usage: what the plan allows, what is used, by whom it is limited, and the newest bookings. It changes as it happens.
import { get, idOf } from "../api.js";
import { el } from "../dom.js";
import { bytes, count, fromNow, micros, money, seconds, time, words } from "../format.js";
import { say } from "../live_region.js";
import { notice, problemNotice } from "../notice.js";

const SUBJECTS = { tenant: "Company", user: "You", key: "Your key" };
const KINDS = { RESERVE: "Reserved", SETTLE: "Charged", REFUND: "Refunded", CREDIT: "Credited", DEBIT: "Taken", BALANCE: "Older bookings" };
const PERIODS = { day: "a day", month: "a month", "anniversary-month": "a month", "at-a-time": "at a time" };

export function mount(root) {
  const slot = (name) => root.querySelector(`[data-slot="${name}"]`);
  let limits = [];
  let currency = "USD";
  let source = null;
  let left = false;

  async function begin() {
    try {
      const usage = await get("/v1/usage");
      if (left) return;
      currency = (usage.user.spent || usage.tenant.spent || {}).currencyCode || currency;
      limits = usage.limits;
      slot("plan").textContent = `Plan ${usage.plan} · ${usage.period}${usage.resetTime ? ` · begins again ${fromNow(usage.resetTime)}` : ""}`;
      Object.assign(slot("statement"), { href: `/v1/usage/statement?month=${usage.period}`, download: `statement-${usage.period}.jsonl` });
      drawLimits();
      drawEntries(usage.entries.slice(0, 20));
      drawDays(await get("/v1/usage:query", { groupBy: "DAY", pageSize: 200 }));
      watch();
    } catch (problem) {
      if (!left) slot("warnings").replaceChildren(problemNotice(problem, begin));
    }
  }

  function watch() {
    source = new EventSource("/v1/usage/events");
    source.addEventListener("state", (event) => { const found = JSON.parse(event.data); ({ limits } = found); currency = found.currencyCode || currency; drawLimits(); });
    source.addEventListener("change", (event) => {
      const changed = JSON.parse(event.data);
      limits = limits.map((each) => (same(each, changed) ? changed : each));
      drawLimits();
    });
    source.addEventListener("warning", (event) => say(JSON.parse(event.data).message));
  }

  const same = (one, other) => ["subject", "measure", "per"].every((name) => one[name] === other[name]);
  const amount = (value, unit) => ({ MICROS: () => micros(value, currency), MILLISECONDS: () => seconds(Number(value) / 1000), BYTES: () => bytes(value) }[unit] || (() => count(value)))();

  function titleOf(limit) {
    const [measure, condition] = limit.measure.split(":");
    return `${SUBJECTS[limit.subject] || words(limit.subject)}: ${words(measure).toLowerCase()}${condition ? ` (${condition})` : ""}`;
  }

  function drawLimits() {
    const bound = limits.filter((each) => each.limit !== undefined);
    slot("limits").replaceChildren(...bound.map((limit) => {
      const taken = Number(limit.used) + Number(limit.held);
      const share = Number(limit.limit) ? Math.min(1, taken / Number(limit.limit)) : 1;
      const percent = Math.round(share * 100);
      const kind = percent >= 100 ? "full" : percent >= 80 ? "warn" : "";
      const bar = el("div", { class: `bar ${kind}`, role: "meter", "aria-label": titleOf(limit), "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": String(percent) }, el("span"));
      bar.firstChild.style.width = `${percent}%`;
      return el("li", { class: "card limit" }, el("div", { class: "top" }, el("h3", { text: titleOf(limit) }), el("span", { class: "hint figures", text: `${percent} %` })), bar,
        el("p", { class: "figures" }, el("strong", { text: amount(taken, limit.unit) }), el("span", { class: "hint", text: ` of ${amount(limit.limit, limit.unit)} ${PERIODS[limit.per] || limit.per}` })),
        el("p", { class: "hint", text: [Number(limit.held) ? `${amount(limit.held, limit.unit)} reserved` : "", limit.resetTime ? `begins again ${fromNow(limit.resetTime)}` : ""].filter(Boolean).join(" · ") }));
    }));
    if (!bound.length) slot("limits").replaceChildren(el("li", { class: "hint", text: "Your plan has no limits." }));
    slot("warnings").replaceChildren(...bound.filter((each) => each.warnedPercent >= 80).map((limit) => notice(`${limit.warnedPercent} % of ${titleOf(limit).toLowerCase()} is used`,
      limit.resetTime ? `It begins again ${fromNow(limit.resetTime)}.` : "Wait for running videos, or delete what you do not need.", { kind: limit.warnedPercent >= 100 ? "" : "warn", alert: false })));
  }

  function drawDays({ groups, total }) {
    if (!groups.length) { slot("days").replaceChildren(el("p", { class: "hint", text: "Nothing was spent this month." })); return; }
    const spent = (each) => Number(each.sums.spent?.amountMicros || 0);
    const most = Math.max(1, ...groups.map(spent));
    slot("days").replaceChildren(el("p", { class: "hint", text: `${money(total.spent)} for ${count(total.jobs)} ${Number(total.jobs) === 1 ? "video" : "videos"}` }),
      el("ul", { class: "days" }, groups.map((each) => {
        const bar = el("span", { class: "day-bar", "aria-hidden": "true" });
        bar.style.height = `${Math.max(2, (spent(each) / most) * 100)}%`;
        return el("li", { title: `${each.values[0]}: ${money(each.sums.spent)}` }, el("span", { class: "day-column" }, bar), el("span", { "aria-hidden": "true", text: String(Number(each.values[0].slice(8))) }), el("span", { class: "unseen", text: `${each.values[0]}: ${money(each.sums.spent)}` }));
      })));
  }

  function drawEntries(entries) {
    if (!entries.length) { slot("entries").replaceChildren(el("p", { class: "hint", text: "There are no bookings yet." })); return; }
    slot("entries").replaceChildren(el("table", { class: "table" }, el("thead", {}, el("tr", {}, ["When", "What", "Model"].map((text) => el("th", { scope: "col", text })), ["Reserved", "Spent"].map((text) => el("th", { scope: "col", class: "number", text })))),
      el("tbody", {}, entries.map((each) => el("tr", {}, el("td", { text: time(each.createTime) }), el("td", {}, each.job ? el("a", { href: `#/make/${idOf(each.job)}`, text: KINDS[each.kind] || each.kind }) : KINDS[each.kind] || each.kind), el("td", { text: each.model || "–" }), el("td", { class: "number", text: money(each.reserved) }), el("td", { class: "number", text: money(each.spent) }))))));
  }

  begin();
  return () => { left = true; source?.close(); };
}
