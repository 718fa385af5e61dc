// The field of a mask: what is painted, in small, and the dialog in which it is painted.
import { renditionOf } from "./api.js";
import { button, el } from "./dom.js";
import { drawMask } from "./mask_input.js";

/** Returns {element, show}. `show` draws the field again after the draft has changed. */
export function maskField(draft, changed) {
  const small = el("img", { class: "mask-small", alt: "The mask: white may move" });
  const wrong = el("p", { class: "wrong", id: "mask-wrong", hidden: true });
  const draw = button("", async () => {
    wrong.hidden = Boolean(draft.picture?.width);
    if (!wrong.hidden) { wrong.textContent = "Add the picture first."; return; }
    const made = await drawMask(draft.picture, draft.mask);
    if (made === undefined) return;
    draft.mask = made;
    show();
    changed();
  }, { kind: "small", symbol: "brush", "data-control": true });

  function show() {
    draw.querySelector("span").textContent = draft.mask ? "Change the mask" : "Draw a mask";
    small.hidden = !draft.mask;
    if (draft.mask) small.src = renditionOf(draft.mask.asset, "thumbnail-256");
  }

  show();
  return {
    element: el("div", { class: "field", "data-field": "mask", role: "group", "aria-label": "Mask" },
      el("span", { class: "label" }, "Mask", el("span", { class: "quiet-text", text: " (optional)" })), el("div", { class: "row" }, small, draw), wrong),
    show,
  };
}
