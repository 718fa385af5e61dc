// Webhooks of the company: endpoints, their tests and secrets, and deliveries that failed.
import { get, make, patch, post, remove } from "../api.js";
import { deliveriesOf } from "../deliveries.js";
import { button, el, icon, redraw } from "../dom.js";
import { USUAL, chooseEventTypes, summaryOf } from "../event_types.js";
import { field, showWrong } from "../field.js";
import { time, words } from "../format.js";
import { say } from "../live_region.js";
import { problemNotice } from "../notice.js";
import { sure } from "../question.js";
import { secretNotice, showNotice } from "../secret.js";

const KINDS = { ACTIVE: "good", PAUSED: "warn", DISABLED: "" };

export function mount(root) {
  const open = new Map(); // by endpoint: its deliveries, which are shown also after the list was read again
  let types = USUAL;
  const slot = (name) => root.querySelector(`[data-slot="${name}"]`);
  const tell = (made) => showNotice(slot("message"), made);
  const url = el("input", { type: "url", placeholder: "https://example.com/hook", autocomplete: "off" });
  const add = el("button", { class: "button main" }, icon("plus"), el("span", { text: "Add the address" }));
  const choose = button("", async () => { types = (await chooseEventTypes(types)) || types; describe(); }, { kind: "quiet small" });
  const describe = () => { choose.querySelector("span").textContent = `Gets ${summaryOf(types)} …`; };
  describe();
  slot("new").append(field("url", "Address", url), add, choose);
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
      const made = await make("/v1/webhooks", { url: url.value.trim(), ...(types === USUAL ? {} : { eventTypes: types }) });
      url.value = "";
      types = USUAL;
      describe();
      await read();
      tell(secretNotice("The secret of the new address", made.secret));
    } catch (problem) {
      if (problem.violations?.length) { showWrong(slot("new"), problem.violations.map((each) => ["url", each.description])); url.focus(); } else tell(problemNotice(problem));
    }
  });

  async function read() {
    try {
      const { endpoints } = await get("/v1/webhooks", { pageSize: 200 });
      redraw(slot("rows"), endpoints.map(row));
      if (!endpoints.length) slot("rows").append(el("li", { class: "empty" }, icon("webhooks"), el("p", { text: "There is no address yet." })));
    } catch (problem) { tell(problemNotice(problem, read)); }
  }

  function row(hook) {
    const active = hook.state === "ACTIVE";
    const deliveries = el("div", {}, open.get(hook.name)?.element);
    open.get(hook.name)?.read();
    const shows = button("Deliveries", () => toggle(hook, deliveries, shows), { kind: "small", symbol: "more", "aria-expanded": String(open.has(hook.name)) });
    return el("li", { class: "card stack", "data-row": hook.name },
      el("div", { class: "row" }, el("h2", { text: hook.url }), el("span", { class: `state ${KINDS[hook.state] || ""}`, text: words(hook.state) })),
      el("p", { class: "hint", text: [hook.description, `gets ${summaryOf(hook.eventTypes)}`, hook.waiting ? `${hook.waiting} wait` : "", hook.dead ? `${hook.dead} could not be delivered` : "", hook.failingSince ? `failing since ${time(hook.failingSince)}` : ""].filter(Boolean).join(" · ") }),
      el("div", { class: "row" },
        button("Test", () => act(() => post(`/v1/${hook.name}:test`), "A test is on its way."), { kind: "small", disabled: !active }),
        button(active ? "Disable" : "Enable", () => act(() => patch(`/v1/${hook.name}`, { state: active ? "DISABLED" : "ACTIVE" }), active ? "Disabled." : "Enabled."), { kind: "small" }),
        button("New secret", async () => { const made = await act(() => make(`/v1/${hook.name}:rotateSecret`, {}), "There is a new secret."); if (made) tell(secretNotice("The new secret; the old one works for a day", made.secret)); }, { kind: "small" }),
        button("Events", async () => { const wanted = await chooseEventTypes(hook.eventTypes); if (wanted) act(() => patch(`/v1/${hook.name}`, { eventTypes: wanted }), "Changed."); }, { kind: "small" }),
        shows,
        hook.dead ? button("Send the failed ones again", () => act(() => again(hook), "They are sent again."), { kind: "small", symbol: "again" }) : null,
        button("Delete", async () => { if (await sure("Delete this address?", `${hook.url} gets no more events, and what waits is not delivered.`, "Delete")) act(() => remove(`/v1/${hook.name}`), "Deleted."); }, { kind: "small danger", symbol: "trash" })), deliveries);
  }

  async function again(hook) {
    const dead = await get(`/v1/${hook.name}/deliveries`, { state: "DEAD", pageSize: 100 });
    return post(`/v1/${hook.name}:replay`, { deliveries: dead.deliveries.map((each) => each.name) });
  }

  function toggle(hook, into, button) {
    const shown = open.get(hook.name);
    button.setAttribute("aria-expanded", String(!shown));
    if (shown) {
      shown.leave();
      open.delete(hook.name);
      into.replaceChildren();
      return;
    }
    const made = deliveriesOf(hook);
    open.set(hook.name, made);
    into.replaceChildren(made.element);
    made.read();
  }

  read();
  return () => open.forEach((each) => each.leave());
}
