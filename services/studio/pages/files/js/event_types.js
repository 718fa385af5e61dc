// The events that a webhook can get, and a dialog to choose some of them.
import { button, el, newId } from "./dom.js";

const GROUPS = [
  ["Videos", {
    "job.submitted": "Ordered", "job.started": "Begun", "job.prompt_written": "Prompt written", "job.fragment_ready": "Fragment ready",
    "job.warned": "Warning", "job.rerouted": "Another model took it", "job.retrying": "Tried again", "job.reconciling": "Vendor is asked",
    "job.succeeded": "Ready", "job.failed": "Failed", "job.cancelled": "Stopped",
  }],
  ["Library", { "asset.created": "Added", "asset.deleted": "Deleted" }],
  ["Usage", { "usage.warning": "A limit is near" }],
];
const ALL = GROUPS.flatMap(([, types]) => Object.keys(types));
/** What an address gets when nothing is chosen. A video has many fragments. */
export const USUAL = ALL.filter((each) => each !== "job.fragment_ready");

/** Says which types these are. */
export function summaryOf(types) {
  const lacks = ALL.filter((each) => !types.includes(each));
  if (!lacks.length) return "all events";
  return lacks.length < 4 ? `all events but ${lacks.join(", ")}` : types.join(", ");
}

/** Shows the dialog. Returns the chosen types, or null if nothing is changed. Types of a newer release are kept. */
export function chooseEventTypes(types) {
  return new Promise((done) => {
    let chosen = null;
    const title = newId("events");
    const wrong = el("p", { class: "wrong", role: "alert" });
    const boxes = new Map();
    const tick = ([type, label]) => {
      const box = el("input", { type: "checkbox", value: type, checked: types.includes(type) });
      boxes.set(type, box);
      return el("label", { class: "tick" }, box, el("span", {}, label, " ", el("code", { class: "hint", text: type })));
    };
    const groups = GROUPS.map(([name, members]) => el("fieldset", {}, el("legend", { class: "label", text: name }), el("div", { class: "ticks" }, Object.entries(members).map(tick))));
    const set = (wanted) => { for (const [type, box] of boxes) box.checked = wanted.includes(type); };
    const dialog = el("dialog", { "aria-labelledby": title }, el("form", { class: "stack", onsubmit: (event) => {
      event.preventDefault();
      const given = [...ALL.filter((type) => boxes.get(type).checked), ...types.filter((type) => !ALL.includes(type))];
      if (!given.length) { wrong.textContent = "Choose at least one. To get none, disable the address."; return; }
      chosen = given;
      dialog.close();
    } },
    el("div", { class: "head" }, el("h2", { id: title, text: "Which events?" }), button("Close", () => dialog.close(), { kind: "quiet", symbol: "close", only: true })),
    groups, wrong,
    el("div", { class: "row" }, el("button", { class: "button main", text: "Use these" }), button("The usual ones", () => set(USUAL), { kind: "quiet" }), button("None", () => set([]), { kind: "quiet" }))));
    dialog.addEventListener("close", () => { dialog.remove(); done(chosen); });
    document.body.append(dialog);
    dialog.showModal();
  });
}
