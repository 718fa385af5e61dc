// A small picture of an asset.
import { renditionOf } from "./api.js";
import { el, icon } from "./dom.js";

/** Returns a picture, or an icon for a sound and for what is in the trash. */
export function pictureOf(asset) {
  if (asset.deleteTime || asset.mediaType.startsWith("audio/")) return el("span", { class: "no-picture square" }, icon(asset.deleteTime ? "trash" : "sound"));
  return el("img", { src: renditionOf(asset.name, "thumbnail-256"), alt: "", loading: "lazy" });
}
