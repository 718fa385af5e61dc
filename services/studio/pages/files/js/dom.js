// Makes elements. Data becomes text or an attribute, and never HTML.

/** Returns an element. `properties`: attributes; `on…` are listeners, `text` is its text; false and null: none. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "muted") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const ICONS = new URL("../icons.svg", import.meta.url).pathname;

/** Returns an icon of the sprite. It says nothing to screen readers. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${ICONS}#${name}`);
  svg.append(use);
  return svg;
}

/** Changes the icon of a button. */
export function setIcon(button, name) {
  button.querySelector("use").setAttribute("href", `${ICONS}#${name}`);
}

/** Returns a button. `kind`: its classes. */
export function button(label, onclick, { kind = "", symbol = "", only = false, ...rest } = {}) {
  const classes = `button ${kind}${only ? " only" : ""}`;
  const names = only ? { "aria-label": label, title: label } : {};
  return el("button", { type: "button", class: classes, onclick, ...names, ...rest }, symbol && icon(symbol), only ? "" : el("span", { text: label }));
}

/** Returns a copy of the template of a view. */
export function template(name) {
  return document.getElementById(`view-${name}`).content.cloneNode(true);
}

const named = (element) => element.getAttribute("aria-label") || element.textContent;

/** Replaces what a list has. The control that had the focus has it again: that of the same name or look, in the row of the same `data-row`. */
export function redraw(list, rows) {
  const held = list.contains(document.activeElement) ? document.activeElement : null;
  list.replaceChildren(...rows);
  if (!held || held === document.activeElement) return;
  if (held.isConnected) { held.focus(); return; }
  const row = rows.find((each) => each.dataset.row && each.dataset.row === held.closest("[data-row]")?.dataset.row);
  const alike = row ? [...row.querySelectorAll(held.tagName)] : [];
  const same = alike.find((each) => named(each) === named(held)) || alike.find((each) => each.className === held.className);
  (same || document.getElementById("main")).focus({ preventScroll: true });
}

let numbers = 0;

/** Returns an id that no other element has. */
export function newId(prefix) {
  numbers += 1;
  return `${prefix}-${numbers}`;
}

/** Returns a function that calls another one once, so many milliseconds after its last call. */
export function later(milliseconds, call) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...given), milliseconds);
  };
}

/** Returns a random UUID, also where the page does not come by HTTPS. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
