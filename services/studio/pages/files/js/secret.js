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

/** Shows a notice, or none. A secret stays until another one takes its place, because it is shown once. */
export function showNotice(place, made) {
  const shown = place.querySelector(".notice:has(.secret)");
  const kept = made?.querySelector(".secret") ? null : shown;
  place.replaceChildren(...[kept, made].filter(Boolean));
}
