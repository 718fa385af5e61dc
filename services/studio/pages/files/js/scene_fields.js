// The scene and its story, from which a prompt is written.
import { button, el } from "./dom.js";
import { field } from "./field.js";

/** Returns {element, show}. `required`: there is no prompt of one's own instead. `show`: the prompt has changed. */
export function sceneFields(draft, required, changed) {
  const area = (name, rows, placeholder, most) => {
    const control = el("textarea", { value: draft[name], rows, placeholder, maxlength: most, oninput: () => { draft[name] = control.value; changed(); } });
    return control;
  };
  const list = el("div", { class: "stack" });
  const add = button("Add a detail", () => { draft.details.push(["", ""]); draw(); list.querySelector(".detail:last-child input").focus(); }, { kind: "small", symbol: "plus" });

  function draw() {
    list.replaceChildren(...draft.details.map((pair, at) => {
      const input = (index, label, placeholder, most) => {
        const control = el("input", { type: "text", value: pair[index], "aria-label": `${label} ${at + 1}`, placeholder, maxlength: most, oninput: () => { pair[index] = control.value; changed(); } });
        return control;
      };
      return el("div", { class: "row tight detail" }, input(0, "Name of detail", "Mara", "64"), input(1, "Detail", "red coat, grey hair", "512"),
        button(`Remove detail ${at + 1}`, () => { draft.details.splice(at, 1); draw(); changed(); add.focus(); }, { kind: "quiet", symbol: "close", only: true }));
    }));
    add.hidden = draft.details.length >= 16;
  }

  draw();
  const details = el("div", { class: "field", "data-field": "details", role: "group", "aria-label": "Details" }, el("span", { class: "label" }, "Details", el("span", { class: "quiet-text", text: " (optional)" })), list, add, el("p", { class: "wrong", hidden: true }));
  const unused = el("p", { class: "hint note", text: "Your own prompt is used, and the scene is not." });
  const element = el("div", { class: "stack" }, unused,
    field("scene", "Scene", area("scene", "4", "What is visible, and what happens", "4000"), { optional: !required, hint: required ? "The prompt is written from it." : "Without a prompt of your own, one is written from the scene." }),
    field("story", "Story", area("story", "3", "What happened before", "8000"), { optional: true }), details);
  const show = () => { unused.hidden = required || !draft.prompt.trim() || !draft.scene.trim(); };
  element.addEventListener("input", show);
  show();
  return { element, show };
}
