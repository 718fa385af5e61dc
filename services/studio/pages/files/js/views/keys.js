// The keys of the company: what each may do, when it was used, new ones and ends.
import { get, idOf, post } from "../api.js";
import { button, el, icon, redraw } from "../dom.js";
import { field, showWrong } from "../field.js";
import { time, words } from "../format.js";
import { say } from "../live_region.js";
import { problemNotice } from "../notice.js";
import { sure } from "../question.js";
import { secretNotice, showNotice } from "../secret.js";

const SCOPES = { SUBMIT: "Make videos", READ: "See and download", ASSETS: "Library", USAGE: "Usage", TENANT_ADMIN: "Admin" };

export function mount(root) {
  const slot = (name) => root.querySelector(`[data-slot="${name}"]`);
  const tell = (made) => showNotice(slot("message"), made);
  const name = el("input", { type: "text", maxlength: "128", autocomplete: "off", placeholder: "web shop" });
  const boxes = Object.entries(SCOPES).map(([scope, label]) => el("label", { class: "tick" }, el("input", { type: "checkbox", value: scope, checked: scope !== "TENANT_ADMIN" }), label));
  const add = el("button", { class: "button main" }, icon("plus"), el("span", { text: "Make the key" }));
  slot("new").append(field("displayName", "Name", name), el("fieldset", { class: "row", "data-field": "scopes" }, el("legend", { class: "label", text: "It may" }), boxes, el("p", { class: "wrong", hidden: true })), add);
  slot("new").firstChild.classList.add("grows");

  slot("new").addEventListener("submit", async (event) => {
    event.preventDefault();
    const scopes = boxes.map((box) => box.firstChild).filter((box) => box.checked).map((box) => box.value);
    if (!name.value.trim()) { showWrong(slot("new"), [["displayName", "Give it a name, so that you know it later."]]); name.focus(); return; }
    showWrong(slot("new"), scopes.length ? [] : [["scopes", "Choose at least one."]]);
    if (!scopes.length) return;
    try {
      const made = await issued(name.value.trim(), () => post("/v1/keys", { displayName: name.value.trim(), scopes }));
      name.value = "";
      await read();
      tell(secretNotice("The new key", made.keyText));
    } catch (problem) { tell(problemNotice(problem)); }
  });

  const all = async () => (await get("/v1/keys", { pageSize: 200 })).keys;

  /** Gets a key with its text. If an answer is lost, the text is too: then the key that no one has is revoked, and another one made. */
  async function issued(displayName, work) {
    const before = new Set((await all()).map((key) => key.name));
    for (let tries = 1; ; tries += 1) {
      try {
        return await work();
      } catch (problem) {
        if (!problem.mayPass || tries === 3) throw problem;
        await new Promise((done) => setTimeout(done, 1000 * tries));
        const lost = (await all()).filter((key) => !before.has(key.name) && key.displayName === displayName && !key.lastUseTime && !ended(key));
        for (const key of lost) await post(`/v1/keys/${idOf(key.name)}:revoke`);
      }
    }
  }

  async function read() {
    try {
      const keys = await all();
      keys.sort((a, b) => Number(Boolean(ended(a))) - Number(Boolean(ended(b))) || b.createTime.localeCompare(a.createTime));
      redraw(slot("rows"), keys.map(row));
    } catch (problem) { tell(problemNotice(problem, read)); }
  }

  const ended = (key) => key.revokeTime || (key.expireTime && new Date(key.expireTime) < new Date() ? key.expireTime : "");

  function row(key) {
    const end = ended(key);
    const at = `/v1/keys/${idOf(key.name)}`;
    const act = async (work, sentence, show) => {
      try { const found = await work(); await read(); say(sentence); tell(show ? show(found) : null); } catch (problem) { tell(problemNotice(problem)); }
    };
    return el("li", { class: "card stack", "data-row": key.name },
      el("div", { class: "row" }, el("h2", { text: key.displayName || idOf(key.name) }), el("span", { class: `state ${end ? "" : "good"}`, text: end ? "Ended" : "Works" })),
      el("p", { class: "hint", text: [idOf(key.name), key.scopes.map((scope) => SCOPES[scope] || words(scope)).join(", "), `made ${time(key.createTime)}`, key.lastUseTime ? `used ${time(key.lastUseTime)}` : "never used", key.expireTime ? `ends ${time(key.expireTime)}` : ""].filter(Boolean).join(" · ") }),
      end ? null : el("div", { class: "row" },
        button("Replace", () => act(() => issued(key.displayName, () => post(`${at}:rotate`)), "There is a new key.", (made) => secretNotice("The new key; the old one works for a day", made.keyText)), { kind: "small", symbol: "again", "aria-label": `Replace ${key.displayName}` }),
        button("Revoke", async () => { if (await sure(`Revoke ${key.displayName || idOf(key.name)}?`, "Programs that use it stop working within seconds.", "Revoke")) act(() => post(`${at}:revoke`), "Revoked."); }, { kind: "small danger", symbol: "trash", "aria-label": `Revoke ${key.displayName}` })));
  }

  read();
  return () => {};
}
