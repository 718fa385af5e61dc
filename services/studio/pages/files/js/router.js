// The places of the page. Each is one module with `mount(root, context)`, which returns a function that leaves it.
import { el, icon, template } from "./dom.js";
import { problemNotice } from "./notice.js";

// An id of the service. Anything else in an address, such as `..%2Fkeys`, would lead calls to other operations.
const ID = /^[\w~-][\w.~-]{0,127}$/;

/** `#/compare/a/b` is the place `compare` with the ids a and b. What is no id is empty. */
export function here() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  return { name: name || "make", rest: rest.map((each) => (ID.test(each) ? each : "")) };
}

/** Shows the place of the address, and each later one. `places`: name to {label, icon, when}. */
export function route(places, context) {
  const main = document.getElementById("main");
  const list = document.getElementById("places");
  const shown = Object.entries(places).filter(([, place]) => !place.when || place.when(context));
  for (const [name, place] of shown) {
    list.append(el("li", {}, el("a", { href: `#/${name}`, "data-place": name }, icon(name), el("span", { text: place.label }))));
  }
  let leave = null;
  let turn = 0;

  async function show(first) {
    const { name, rest } = here();
    const at = shown.find(([known]) => known === name) ? name : "make";
    turn += 1;
    const mine = turn;
    for (const link of list.querySelectorAll("a")) {
      if (link.dataset.place === at) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${places[at].label} – i2v studio`;
    leave?.();
    leave = null;
    try {
      const view = await import(`./views/${at}.js`);
      if (mine !== turn) return;
      const root = el("div", { class: `view ${at}` }, template(at));
      main.replaceChildren(root);
      leave = view.mount(root, context, ...rest);
    } catch (problem) {
      main.replaceChildren(problemNotice(problem, () => show(false)));
    }
    if (!first) { main.focus({ preventScroll: true }); scrollTo(0, 0); }
  }

  addEventListener("hashchange", () => show(false));
  return show(true);
}
