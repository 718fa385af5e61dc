// Questions to a person, as dialogs of the page: what is asked, and two answers.
import { button, el, newId } from "./dom.js";
import { field } from "./field.js";

/** Asks whether to do something that cannot be undone. `action`: what the button for it says. Returns whether to do it. */
export function sure(question, consequence, action) {
  return new Promise((done) => {
    let agreed = false;
    const title = newId("question");
    const text = newId("question");
    const dialog = el("dialog", { class: "question", role: "alertdialog", "aria-labelledby": title, "aria-describedby": text },
      el("h2", { id: title, text: question }), el("p", { id: text, text: consequence }),
      el("div", { class: "row answers" }, button("Cancel", () => dialog.close(), { autofocus: true }),
        button(action, () => { agreed = true; dialog.close(); }, { kind: "danger" })));
    shown(dialog, () => done(agreed));
  });
}

/** Asks for a text. Returns it without space around it; empty: none was given. */
export function textOf(question, label, action) {
  return new Promise((done) => {
    const title = newId("question");
    const control = el("input", { type: "text", autocomplete: "off", autofocus: true, required: true, maxlength: "200" });
    let given = "";
    const dialog = el("dialog", { class: "question", "aria-labelledby": title }, el("form", { class: "stack", onsubmit: (event) => { event.preventDefault(); given = control.value.trim(); dialog.close(); } },
      el("h2", { id: title, text: question }), field("text", label, control),
      el("div", { class: "row answers" }, button("Cancel", () => dialog.close()), el("button", { class: "button main", text: action }))));
    shown(dialog, () => done(given));
  });
}

function shown(dialog, closed) {
  dialog.addEventListener("close", () => { dialog.remove(); closed(); });
  document.body.append(dialog);
  dialog.showModal();
}
