// The library: what was uploaded and made, with search, tags, favourites, collections, bulk actions and the trash.
import { get, make, post, remove, upload } from "../api.js";
import { assetDialog } from "../asset_details.js";
import { button, el, icon, later, redraw, setIcon } from "../dom.js";
import { choices } from "../field.js";
import { bytes, time } from "../format.js";
import { say } from "../live_region.js";
import { notice, problemNotice } from "../notice.js";
import { pictureOf } from "../asset_picture.js";
import { sure, textOf } from "../question.js";
import { shareDialog } from "../share_dialog.js";

const TYPES = [["", "All"], ["video", "Videos"], ["image", "Pictures"], ["audio", "Sounds"]];
const quoted = (text) => `"${text.replaceAll(/["\\]/g, "\\$&")}"`;

export function mount(root) {
  const slot = (name) => root.querySelector(`[data-slot="${name}"]`);
  const words = root.querySelector("#library-words");
  const tag = root.querySelector("#library-tag");
  const collection = root.querySelector("#library-collection");
  const more = button("Show more", () => read(false), { kind: "small" });
  const asked = { type: "", favorite: false, trash: false };
  const chosen = new Map();
  let collections = [];
  let token = "";
  let turn = 0;
  let shown = 0;

  function filter() {
    const parts = [];
    if (asked.type) parts.push(`type = ${asked.type}`);
    if (asked.favorite) parts.push("favorite = true");
    if (tag.value.trim()) parts.push(`tags:${quoted(tag.value.trim())}`);
    if (collection.value) parts.push(`collection = ${quoted(collection.value)}`);
    return parts.join(" AND ");
  }

  async function read(fresh) {
    turn += 1;
    const mine = turn;
    more.remove();
    try {
      if (fresh) token = "";
      const page = await get("/v1/assets", { query: words.value.trim(), filter: filter(), showDeleted: asked.trash ? "true" : "", pageSize: 60, pageToken: token });
      if (mine !== turn) return;
      const found = page.assets.filter((asset) => !asked.trash || asset.deleteTime);
      if (fresh) { redraw(slot("assets"), found.map(tile)); shown = 0; choose(); } else slot("assets").append(...found.map(tile));
      token = page.nextPageToken;
      shown += found.length;
      if (token) slot("more").replaceChildren(more);
      if (!shown && !token) slot("assets").append(el("li", { class: "empty whole" }, icon(asked.trash ? "trash" : "library"), el("p", { text: asked.trash ? "The trash is empty." : filter() || words.value ? "Nothing fits. Change the search." : "There is nothing yet. What you upload or make is kept here." })));
    } catch (problem) {
      if (mine === turn) tell(problemNotice(problem, () => read(fresh)));
    }
  }

  const tell = (made) => slot("message").replaceChildren(...(made ? [made] : []));

  function tile(asset) {
    const title = asset.details?.title || time(asset.createTime);
    const tick = el("input", { type: "checkbox", "aria-label": `Choose ${title}`, onchange: () => { if (tick.checked) chosen.set(asset.name, asset); else chosen.delete(asset.name); choose(false); } });
    const star = button("Favourite", async () => {
      try {
        asset.favorite = (await post(`/v1/${asset.name}:favorite`, { favorite: !asset.favorite })).favorite;
        setIcon(star, asset.favorite ? "starred" : "star");
        star.setAttribute("aria-pressed", String(asset.favorite));
      } catch (problem) { tell(problemNotice(problem)); }
    }, { kind: "small quiet", symbol: asset.favorite ? "starred" : "star", only: true, "aria-pressed": String(asset.favorite), "aria-label": `Favourite: ${title}` });
    const open = el("button", { type: "button", class: "asset", onclick: () => assetDialog(asset, { changed: () => read(true), collections }) }, pictureOf(asset), el("span", { text: title }),
      el("span", { class: "hint", text: [asset.deleteTime ? `deleted ${time(asset.deleteTime)}` : bytes(asset.sizeBytes), ...(asset.details?.tags || []).slice(0, 3)].join(" · ") }));
    return el("li", { class: "tile", "data-row": asset.name }, open, el("div", { class: "tile-tools" }, tick, asked.trash ? null : star));
  }

  /** Shows what may be done with what is chosen. */
  function choose(clear = true) {
    if (clear) chosen.clear();
    slot("bulk").hidden = !chosen.size;
    if (!chosen.size) return;
    const names = [...chosen.keys()];
    const act = (work, sentence) => async () => {
      try {
        if ((await work()) === false) return;
        say(sentence);
        tell(null);
        const focused = slot("bulk").contains(document.activeElement);
        await read(true);
        if (focused) document.getElementById("main").focus({ preventScroll: true });
      } catch (problem) { tell(problemNotice(problem)); }
    };
    const tagged = el("input", { type: "text", "aria-label": "Tag for what is chosen", placeholder: "Tag", class: "short" });
    const album = el("select", { "aria-label": "Collection for what is chosen", class: "short" }, el("option", { value: "", text: "Add to …" }), collections.map((each) => el("option", { value: each.name, text: each.title })), el("option", { value: "new", text: "A new collection" }));
    album.addEventListener("change", act(async () => {
      let to = album.value;
      if (to === "new") {
        const title = await textOf("A new collection", "Title", "Make it");
        if (!title) { album.value = ""; return false; }
        to = (await make("/v1/collections", { title })).name;
      }
      if (to) await post(`/v1/${to}:addAssets`, { assets: names });
      await readCollections();
    }, "Added."));
    const update = (change) => act(() => post("/v1/assets:batchUpdate", { names, ...change }), "Changed.");
    const count = el("strong", { text: `${names.length} chosen` });
    const parts = asked.trash
      ? [button("Restore", act(() => Promise.all(names.map((name) => post(`/v1/${name}:restore`))), "Restored."), { kind: "small" }),
        button("Delete for good", act(async () => await sure(`Delete ${names.length} for good?`, "This cannot be undone.", "Delete for good") && post("/v1/assets:batchDelete", { names, permanent: true }), "Deleted for good."), { kind: "small danger", symbol: "trash" })]
      : [tagged, button("Add the tag", () => tagged.value.trim() && update({ addTags: [tagged.value.trim()] })(), { kind: "small", symbol: "tag" }),
        button("Remove the tag", () => tagged.value.trim() && update({ removeTags: [tagged.value.trim()] })(), { kind: "small" }),
        button("Favourite", update({ favorite: true }), { kind: "small", symbol: "star" }), album,
        collection.value ? button("Out of the collection", act(() => post(`/v1/${collection.value}:removeAssets`, { assets: names }), "Removed."), { kind: "small" }) : null,
        button("To the trash", act(() => post("/v1/assets:batchDelete", { names }), "Moved to the trash."), { kind: "small danger", symbol: "trash" })];
    slot("bulk").replaceChildren(count, ...parts.filter(Boolean), button("None", () => { for (const tick of slot("assets").querySelectorAll(":checked")) tick.checked = false; choose(); }, { kind: "small quiet" }));
  }

  async function readCollections() {
    try {
      collections = (await get("/v1/collections", { pageSize: 200 })).collections;
      const before = collection.value;
      collection.replaceChildren(el("option", { value: "", text: "All" }), ...collections.map((each) => el("option", { value: each.name, text: `${each.title} (${each.assetCount})` })));
      collection.value = before;
    } catch (problem) { tell(problemNotice(problem)); }
  }

  function pressed(label, name, symbol) {
    const made = button(label, () => {
      asked[name] = !asked[name];
      made.setAttribute("aria-pressed", String(asked[name]));
      empty.hidden = !asked.trash;
      read(true);
    }, { symbol, "aria-pressed": "false" });
    return made;
  }

  const empty = button("Empty the trash", async () => {
    if (!(await sure("Empty the trash?", "Everything in it is deleted for good. This cannot be undone.", "Empty the trash"))) return;
    try {
      const done = await post("/v1/assets:emptyTrash");
      tell(notice(`${done.deleted} deleted`, done.inUse ? `${done.inUse} wait for a video that uses them.` : "", { kind: "good" }));
      read(true);
    } catch (problem) { tell(problemNotice(problem)); }
  }, { kind: "danger", symbol: "trash", hidden: true });
  const drop = button("Delete the collection", async () => {
    if (!collection.value || !(await sure("Delete the collection?", "What is in it stays in the library.", "Delete the collection"))) return;
    try { await remove(`/v1/${collection.value}`); collection.value = ""; await readCollections(); read(true); } catch (problem) { tell(problemNotice(problem)); }
  }, { kind: "small quiet", hidden: true });
  const share = button("Share the collection", () => shareDialog({ collection: collection.value }), { kind: "small", symbol: "link", hidden: true });
  const file = el("input", { type: "file", multiple: true, class: "unseen", tabindex: "-1", "aria-hidden": "true", accept: "image/*,audio/*,video/*", onchange: async () => {
    const wrong = [];
    for (const each of [...file.files]) {
      tell(notice(`Uploading ${each.name} …`, "", { kind: "good", alert: false }));
      try { await upload(each, { title: each.name }); } catch (problem) { wrong.push(notice(each.name, problem.message)); }
    }
    file.value = "";
    slot("message").replaceChildren(...wrong);
    say(wrong.length ? "Some files were refused." : "Uploaded.");
    read(true);
  } });
  slot("uploads").append(file, button("Upload", () => file.click(), { kind: "main", symbol: "plus" }));
  slot("type").append(choices("type", "Type", TYPES, "", (value) => { asked.type = value; read(true); }));
  slot("switches").append(pressed("Favourites", "favorite", "star"), pressed("Trash", "trash", "trash"), empty, share, drop);
  words.addEventListener("input", later(250, () => read(true)));
  tag.addEventListener("input", later(250, () => read(true)));
  collection.addEventListener("change", () => { drop.hidden = share.hidden = !collection.value; read(true); });
  root.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  readCollections();
  read(true);
  return () => { turn += 1; };
}
