// A secret that is shown once.
import { button, el } from "./dom.js";
import { say } from "./live_region.js";
import { notice } from "./notice.js";

/** Returns a notice with the secret. */
export function secretNotice(title, secret) {
  const copy = button("Copy", async () => {
    try { await navigator.clipboard.writeText(secret); say("Copied."); } catch { getSelection().selectAllChildren(made.querySelector(".secret")); }
  }, { kind: "small" });
  const made = notice(title, "Keep it now: it is shown once.", { kind: "good", actions: [el("code", { class: "secret", text: secret }), copy] });
  return made;
}
