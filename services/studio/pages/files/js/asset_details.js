// A dialog with one asset: what it is, how it was made, and what can be done with it.
import { contentOf, idOf, patch, post, remove, renditionOf } from "./api.js";
import { button, el } from "./dom.js";
import { field } from "./field.js";
import { bytes, money, seconds, secondsOf, time } from "./format.js";
import { say } from "./live_region.js";
import { notice, problemNotice } from "./notice.js";
import { player } from "./player.js";
import { sure } from "./question.js";
import { shareDialog } from "./share_dialog.js";

/** Shows the dialog. `changed` is called when the library is not as before. */
export function assetDialog(asset, { changed }) {
  const message = el("div");
  const title = el("input", { type: "text", value: asset.details?.title || "", maxlength: "500" });
  const tags = el("input", { type: "text", value: (asset.details?.tags || []).join(", "), autocapitalize: "none" });
  const about = el("textarea", { value: asset.details?.description || "", rows: "2", maxlength: "10000" });
  const { origin } = asset;
  const facts = [
    ["Type", asset.mediaType], ["Size", [asset.size && `${asset.size.width} × ${asset.size.height}`, bytes(asset.sizeBytes)].filter(Boolean).join(" · ")],
    ["Length", asset.duration && seconds(secondsOf(asset.duration))], ["Model", origin?.model], ["Prompt", origin?.prompt], ["Seed", origin?.seed], ["Cost", origin?.cost && money(origin.cost)],
    ["Since", time(asset.createTime)], ["Downloads", asset.downloads], ["SHA-256", idOf(asset.name)],
  ].filter(([, value]) => value);
  const act = (work, sentence) => async () => {
    try {
      await work();
      say(sentence);
      dialog.close();
      changed();
    } catch (problem) {
      message.replaceChildren(problem.status === 412 ? notice("It has changed meanwhile", "Close this, look at it again, and repeat your change.") : problemNotice(problem));
    }
  };
  const save = act(() => patch(`/v1/${asset.name}`, { details: { title: title.value.trim(), description: about.value, tags: tags.value.split(",").map((each) => each.trim()).filter(Boolean) } }, { etag: `"${asset.etag}"` }), "Saved.");
  const deleted = Boolean(asset.deleteTime);
  const works = deleted
    ? [button("Restore", act(() => post(`/v1/${asset.name}:restore`), "Restored."), { kind: "main" }),
      button("Delete for good", async () => { if (await sure("Delete it for good?", "This cannot be undone.", "Delete for good")) act(() => remove(`/v1/${asset.name}?permanent=true`), "Deleted for good.")(); }, { kind: "danger", symbol: "trash" })]
    : [button("Save", save, { kind: "main" }), el("a", { class: "button", href: contentOf(asset.name, `${title.value || idOf(asset.name).slice(0, 12)}`), download: "" }, "Download"),
      origin?.job ? el("a", { class: "button", href: `#/make/${idOf(origin.job)}`, onclick: () => dialog.close() }, "Its job") : null,
      button("Share", () => { dialog.close(); shareDialog({ asset: asset.name }); }, { symbol: "link" }),
      button("To the trash", act(() => remove(`/v1/${asset.name}`), "Moved to the trash."), { kind: "danger", symbol: "trash" })];
  const dialog = el("dialog", { "aria-label": "Asset", class: "details" }, el("div", { class: "head" }, el("h2", { text: asset.details?.title || "Asset" }), button("Close", () => dialog.close(), { kind: "quiet", symbol: "close", only: true })),
    deleted ? null : shown(asset),
    el("div", { class: "stack" }, deleted ? null : [field("title", "Title", title), field("tags", "Tags", tags, { hint: "With commas between them." }), field("description", "Description", about, { optional: true })], message,
      el("div", { class: "row" }, works.filter(Boolean)),
      el("dl", { class: "facts" }, facts.flatMap(([label, value]) => [el("dt", { text: label }), el("dd", { text: value })]))));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function shown(asset) {
  if (asset.mediaType.startsWith("audio/")) return el("audio", { controls: true, src: contentOf(asset.name), "aria-label": "The sound" });
  if (asset.mediaType.startsWith("image/")) return el("img", { class: "shown", src: contentOf(asset.name), alt: asset.details?.title || "The picture" });
  const screen = player("The video");
  screen.load(contentOf(asset.name), renditionOf(asset.name, "poster"));
  if (asset.size) screen.element.querySelector(".frame").style.aspectRatio = `${asset.size.width} / ${asset.size.height}`;
  if (asset.audioDuration) screen.hasSound();
  return screen.element;
}
