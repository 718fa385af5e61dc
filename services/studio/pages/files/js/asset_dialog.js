// A dialog that shows a kind of assets of the library, to choose one.
import { get, renditionOf } from "./api.js";
import { button, el, icon, later } from "./dom.js";
import { time } from "./format.js";
import { problemNotice } from "./notice.js";

/** Shows the dialog. Returns the chosen asset, or null. `type`: `image`, `audio` or `video`. */
export function chooseAsset(type, title) {
  return new Promise((done) => {
    const grid = el("div", { class: "assets" });
    const more = button("Show more", () => read(false), { kind: "small" });
    const search = el("input", { type: "search", placeholder: "Search", "aria-label": "Search the library", oninput: later(250, () => read(true)) });
    const dialog = el("dialog", { "aria-label": title }, el("div", { class: "head" }, el("h2", { text: title }), button("Close", () => dialog.close(), { kind: "quiet", symbol: "close", only: true })), search, grid, more);
    let token = "";
    let chosen = null;

    async function read(fresh) {
      if (fresh) token = "";
      more.hidden = true;
      try {
        const page = await get("/v1/assets", { filter: `type = ${type}`, query: search.value.trim(), pageSize: 24, pageToken: token });
        token = page.nextPageToken;
        if (fresh) grid.replaceChildren();
        grid.append(...page.assets.map(shown));
        more.hidden = !token;
        if (!grid.children.length) grid.append(el("p", { class: "hint", text: search.value ? "Nothing is found. Try other words." : "There is nothing yet. What you upload is kept here." }));
      } catch (problem) {
        grid.replaceChildren(problemNotice(problem, () => read(true)));
      }
    }

    function shown(asset) {
      const name = asset.details?.title || time(asset.createTime);
      const picture = type === "audio" ? icon("sound") : el("img", { src: renditionOf(asset.name, "thumbnail-256"), alt: "", loading: "lazy" });
      return el("button", { type: "button", class: "asset", onclick: () => { chosen = asset; dialog.close(); } }, picture, el("span", { text: name }));
    }

    dialog.addEventListener("close", () => { dialog.remove(); done(chosen); });
    document.body.append(dialog);
    dialog.showModal();
    read(true);
  });
}
