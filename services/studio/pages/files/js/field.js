// Fields of a form: a label, a control, a hint, and what is wrong with it.
import { el, newId } from "./dom.js";

/** Returns a field around a control. `top` stands at the right of the label. */
export function field(name, label, control, { hint = "", top = null, optional = false } = {}) {
  const id = control.id || newId(name);
  control.id = id;
  const wrong = el("p", { class: "wrong", id: `${id}-wrong`, hidden: true });
  const hints = hint ? el("p", { class: "hint", id: `${id}-hint`, text: hint }) : null;
  const described = [hint && `${id}-hint`].filter(Boolean).join(" ");
  if (described) control.setAttribute("aria-describedby", described);
  return el("div", { class: "field", "data-field": name },
    el("div", { class: "top" }, el("label", { class: "label", for: id }, label, optional ? el("span", { class: "quiet-text", text: " (optional)" }) : null), top),
    control, hints, wrong);
}

/** Returns a choice of a few, as radio buttons. `options`: [value, label] pairs. */
export function choices(name, label, options, value, chosen) {
  const group = newId(name);
  const wrong = el("p", { class: "wrong", id: `${group}-wrong`, hidden: true });
  return el("fieldset", { class: "field", "data-field": name }, el("legend", { class: "label", text: label }),
    el("div", { class: "choices" }, options.map(([each, text]) => el("label", {},
      el("input", { type: "radio", name: group, value: each, checked: each === value, onchange: () => chosen(each) }), el("span", { text })))), wrong);
}

/** Returns a list to choose from. */
export function list(options, value, chosen) {
  return el("select", { onchange: (event) => chosen(event.target.value) },
    options.map(([each, text]) => el("option", { value: each, text, selected: each === value })));
}

/** Lets a control be described by its hint, and by what is wrong with it. */
function describe(control, wrong) {
  const hint = document.getElementById(`${control.id}-hint`);
  const ids = [hint?.id, wrong].filter(Boolean).join(" ");
  if (ids) control.setAttribute("aria-describedby", ids);
  else control.removeAttribute("aria-describedby");
}

/** Shows what is wrong with the fields of a form, and removes what was shown before. Returns what no field is for. */
export function showWrong(root, problems) {
  for (const each of root.querySelectorAll(".wrong")) {
    each.hidden = true;
    const of = each.closest("[data-field]").querySelector("[aria-invalid]");
    of?.removeAttribute("aria-invalid");
    if (of) describe(of, "");
  }
  const others = [];
  for (const [name, sentence] of problems) {
    const at = [...root.querySelectorAll("[data-field]")].find((each) => each.dataset.field === name);
    if (!at) { others.push(sentence); continue; }
    const wrong = at.querySelector(":scope > .wrong");
    wrong.textContent = wrong.hidden ? sentence : `${wrong.textContent} ${sentence}`;
    wrong.hidden = false;
    const control = at.querySelector("textarea, input:not([type='file']), select, [data-control]");
    control?.setAttribute("aria-invalid", "true");
    if (control) describe(control, wrong.id);
  }
  return others;
}

/** Moves the focus to the first field that is wrong. */
export function focusWrong(root) {
  const first = root.querySelector("[aria-invalid='true']");
  first?.focus();
  first?.scrollIntoView({ block: "center" });
}
