// A share link: for anyone who has it, until it expires or is ended.
import { get, make, post } from "./api.js";
import { button, el } from "./dom.js";
import { field, list } from "./field.js";
import { time } from "./format.js";
import { say } from "./live_region.js";
import { problemNotice } from "./notice.js";

const DAYS = [["86400s", "1 day"], ["604800s", "7 days"], ["2592000s", "30 days"]];

/** Shows the dialog. `of`: {asset} or {collection}, a name. */
export function shareDialog(of) {
  let days = "604800s";
  const phrase = el("input", { type: "text", autocomplete: "off", maxlength: "200" });
  const result = el("div", { class: "stack" });
  const open = el("ul", { class: "stack" });
  const create = button("Make the link", async () => {
    try {
      const share = await make("/v1/shares", { ...of, expireIn: days, ...(phrase.value ? { passPhrase: phrase.value } : {}) });
      const link = el("input", { type: "text", readonly: true, value: share.url || share.token, "aria-label": "The link" });
      result.replaceChildren(el("p", { class: "hint", text: "It is shown now, and never again." }), link, button("Copy", async () => {
        link.select();
        try { await navigator.clipboard.writeText(link.value); say("Copied."); } catch { document.execCommand("copy"); }
      }, { kind: "small" }));
      link.focus();
      read();
    } catch (problem) { result.replaceChildren(problemNotice(problem)); }
  }, { kind: "main", symbol: "link" });

  async function read() {
    const { shares } = await get("/v1/shares", { openOnly: "true", pageSize: 200 });
    const mine = shares.filter((share) => (of.asset ? share.asset === of.asset : share.collection === of.collection));
    open.replaceChildren(...mine.map((share) => el("li", { class: "row" }, el("span", { class: "hint", text: `Until ${time(share.expireTime)} · ${share.views} views${share.hasPassPhrase ? " · with a pass phrase" : ""}` }),
      button("End this link", async () => { try { await post(`/v1/${share.name}:revoke`); say("The link has ended."); read(); } catch (problem) { result.replaceChildren(problemNotice(problem)); } }, { kind: "small danger" }))));
  }

  const dialog = el("dialog", { "aria-label": "Share" }, el("div", { class: "head" }, el("h2", { text: "Share" }), button("Close", () => dialog.close(), { kind: "quiet", symbol: "close", only: true })),
    el("div", { class: "stack" }, field("expireIn", "For", list(DAYS, days, (value) => { days = value; })), field("passPhrase", "Pass phrase", phrase, { optional: true, hint: "At least 8 characters, which a reader must type." }), create, result, open));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  read().catch((problem) => result.replaceChildren(problemNotice(problem)));
}
