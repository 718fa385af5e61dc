// Webhooks of the company: endpoints, their tests and secrets, and deliveries that failed.
import { get, make, patch, post, remove } from "../api.js";
import { button, el, icon } from "../dom.js";
import { field, showWrong } from "../field.js";
import { fromNow, time, words } from "../format.js";
import { say } from "../live_region.js";
import { problemNotice } from "../notice.js";
import { secretNotice, showNotice } from "../secret.js";

const KINDS = { ACTIVE: "good", PAUSED: "warn", DISABLED: "" };

export function mount(root) {
  const open = new Set(); // the endpoints whose deliveries are shown, also after the list was read again
  const slot = (name) => root.querySelector(`[data-slot="${name}"]`);
  const tell = (made) => showNotice(slot("message"), made);
  const url = el("input", { type: "url", placeholder: "https://example.com/hook", autocomplete: "off" });
  const add = el("button", { class: "button main" }, icon("plus"), el("span", { text: "Add the address" }));
  slot("new").append(field("url", "Address", url), add);
  slot("new").firstChild.classList.add("grows");

  async function act(work, sentence) {
    try {
      const found = await work();
      tell(null);
      say(sentence);
      await read();
      return found;
    } catch (problem) { tell(problemNotice(problem)); }
    return null;
  }

  slot("new").addEventListener("submit", async (event) => {
    event.preventDefault();
    showWrong(slot("new"), []);
    try {
      const made = await make("/v1/webhooks", { url: url.value.trim() });
      url.value = "";
      await read();
      tell(secretNotice("The secret of the new address", made.secret));
    } catch (problem) {
      if (problem.violations?.length) { showWrong(slot("new"), problem.violations.map((each) => ["url", each.description])); url.focus(); } else tell(problemNotice(problem));
    }
  });

  async function read() {
    try {
      const { endpoints } = await get("/v1/webhooks", { pageSize: 200 });
      slot("rows").replaceChildren(...endpoints.map(row));
      if (!endpoints.length) slot("rows").append(el("li", { class: "empty" }, icon("webhooks"), el("p", { text: "There is no address yet." })));
    } catch (problem) { tell(problemNotice(problem, read)); }
  }

  function row(hook) {
    const active = hook.state === "ACTIVE";
    const deliveries = el("div");
    if (open.has(hook.name)) list(hook, deliveries);
    return el("li", { class: "card stack" },
      el("div", { class: "row" }, el("h2", { text: hook.url }), el("span", { class: `state ${KINDS[hook.state] || ""}`, text: words(hook.state) })),
      el("p", { class: "hint", text: [hook.description, hook.eventTypes.join(", "), hook.waiting ? `${hook.waiting} wait` : "", hook.dead ? `${hook.dead} could not be delivered` : "", hook.failingSince ? `failing since ${time(hook.failingSince)}` : ""].filter(Boolean).join(" · ") }),
      el("div", { class: "row" },
        button("Test", () => act(() => post(`/v1/${hook.name}:test`), "A test is on its way."), { kind: "small", disabled: !active }),
        button(active ? "Disable" : "Enable", () => act(() => patch(`/v1/${hook.name}`, { state: active ? "DISABLED" : "ACTIVE" }), active ? "Disabled." : "Enabled."), { kind: "small" }),
        button("New secret", async () => { const made = await act(() => make(`/v1/${hook.name}:rotateSecret`, {}), "There is a new secret."); if (made) tell(secretNotice("The new secret; the old one works for a day", made.secret)); }, { kind: "small" }),
        button("Deliveries", () => toggle(hook, deliveries), { kind: "small", symbol: "more" }),
        hook.dead ? button("Send the failed ones again", () => act(() => again(hook), "They are sent again."), { kind: "small", symbol: "again" }) : null,
        button("Delete", () => confirm(`Delete ${hook.url}? What waits is not delivered.`) && act(() => remove(`/v1/${hook.name}`), "Deleted."), { kind: "small danger", symbol: "trash" })), deliveries);
  }

  async function again(hook) {
    const dead = await get(`/v1/${hook.name}/deliveries`, { state: "DEAD", pageSize: 100 });
    return post(`/v1/${hook.name}:replay`, { deliveries: dead.deliveries.map((each) => each.name) });
  }

  function toggle(hook, into) {
    if (open.delete(hook.name)) into.replaceChildren();
    else { open.add(hook.name); list(hook, into); }
  }

  async function list(hook, into) {
    try {
      const found = await get(`/v1/${hook.name}/deliveries`, { pageSize: 20 });
      into.replaceChildren(found.deliveries.length ? el("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": `Deliveries to ${hook.url}` }, el("table", { class: "table" },
        el("thead", {}, el("tr", {}, ["Event", "State", "Tries", "Answer", "When"].map((text) => el("th", { scope: "col", text })))),
        el("tbody", {}, found.deliveries.map((each) => el("tr", {}, el("td", { text: each.eventType }), el("td", { text: words(each.state) }), el("td", { text: each.tries }), el("td", { text: each.lastError || each.lastStatus || "–" }), el("td", { text: fromNow(each.createTime) })))))) : el("p", { class: "hint", text: "Nothing was sent yet." }));
    } catch (problem) { into.replaceChildren(problemNotice(problem)); }
  }

  read();
  return () => {};
}
