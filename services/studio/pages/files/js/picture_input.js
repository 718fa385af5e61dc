// A picture for the video: dropped, chosen, pasted, or from the library. It shows what the video will see of it.
import { get, renditionOf, upload } from "./api.js";
import { adviceOn } from "./advice.js";
import { button, el, icon } from "./dom.js";
import { wrongPicture } from "./file_kind.js";
import { bytes } from "./format.js";
import { say } from "./live_region.js";
import { chooseAsset } from "./asset_dialog.js";

/** Returns {element, frameFor(size, fit), leave}. `changed(picture)` gets {asset, name, width, height, bytes} or null. */
export function pictureInput(first, changed) {
  let picture = first;
  let local = "";
  let turn = 0;
  const file = el("input", { type: "file", class: "unseen", accept: "image/*,.heic,.avif", tabindex: "-1", "aria-hidden": "true", onchange: () => take(file.files[0]) });
  const choose = el("button", { type: "button", class: "drop", "data-control": true, onclick: () => file.click() },
    icon("picture"), el("strong", { text: "Drop a picture, or choose a file" }), el("span", { class: "hint", text: "Or paste one. JPG, PNG, WebP, AVIF or HEIC, up to 10 MB." }));
  const shown = el("img", { alt: "" });
  const cut = el("div", { class: "cut", "aria-hidden": "true" });
  const frame = el("div", { class: "picture-frame" }, shown, cut);
  const facts = el("p", { class: "hint" });
  const bar = el("div", { class: "bar", hidden: true }, el("span"));
  const again = button("Another picture", () => file.click(), { kind: "small" });
  const drop = button("Remove the picture", () => { replace(null); choose.focus(); }, { kind: "small quiet", symbol: "close", only: true });
  const preview = el("div", { class: "picture-shown", hidden: true }, frame, el("div", { class: "row" }, facts, again, drop));
  const wrong = el("p", { class: "wrong", id: "picture-wrong", hidden: true });
  const fromLibrary = button("From the library", async () => {
    const asset = await chooseAsset("image", "Choose a picture");
    if (asset) replace(described(asset));
  }, { kind: "small", symbol: "library" });
  const element = el("div", { class: "field picture", "data-field": "picture", role: "group", "aria-label": "Picture" }, file, choose, preview, bar, el("div", { class: "row" }, fromLibrary), wrong);

  const described = (asset) => ({ asset: asset.name, name: asset.details?.title || "Picture", width: asset.size?.width, height: asset.size?.height, bytes: asset.sizeBytes });

  function refuse(sentence) {
    wrong.textContent = sentence;
    wrong.hidden = !sentence;
    if (sentence) say(sentence);
    choose.setAttribute("aria-invalid", String(Boolean(sentence)));
    if (sentence) choose.setAttribute("aria-describedby", wrong.id);
    else choose.removeAttribute("aria-describedby");
  }

  async function take(given) {
    if (!given) return;
    file.value = "";
    turn += 1;
    const mine = turn;
    refuse(await wrongPicture(given));
    if (!wrong.hidden || mine !== turn) return;
    forget();
    local = URL.createObjectURL(given);
    show({ asset: "", name: given.name });
    bar.hidden = false;
    try {
      const asset = await upload(given, { title: given.name, progress: (share) => { bar.firstChild.style.width = `${share * 100}%`; } });
      if (mine !== turn) return;
      set({ ...described(asset), name: given.name });
      say("The picture is ready.");
    } catch (problem) {
      if (mine !== turn) return;
      replace(null);
      const { detail, step } = adviceOn(problem);
      refuse(step ? `${detail} ${step}` : detail);
    } finally {
      if (mine === turn) bar.hidden = true;
    }
  }

  /** Takes another picture, or none: an upload that still runs no longer counts. */
  function replace(next) {
    turn += 1;
    bar.hidden = true;
    forget();
    set(next);
  }

  function forget() {
    if (local) URL.revokeObjectURL(local);
    local = "";
  }

  function set(next) {
    picture = next;
    if (next) refuse("");
    show(next);
    changed(next);
  }

  function show(next) {
    const focused = next && [choose, fromLibrary].includes(document.activeElement);
    choose.hidden = Boolean(next);
    preview.hidden = !next;
    fromLibrary.hidden = Boolean(next);
    if (focused) again.focus();
    if (!next) return;
    const address = local || (next.asset && renditionOf(next.asset, "thumbnail-512"));
    shown.hidden = !address;
    if (address && shown.getAttribute("src") !== address) shown.src = address;
    facts.textContent = [next.name, next.width && `${next.width} × ${next.height}`, next.bytes && bytes(next.bytes)].filter(Boolean).join(" · ");
    shown.alt = `Your picture: ${next.name}`;
  }
  // A browser shows no HEIC: the service's own copy does, as soon as it is there.
  shown.addEventListener("error", () => {
    if (!local) return;
    forget();
    shown.hidden = true;
    if (picture?.asset) show(picture);
  });

  function onPaste(event) {
    const found = [...(event.clipboardData?.files || [])].find((each) => each.type.startsWith("image/"));
    if (found) { event.preventDefault(); take(found); }
  }
  for (const name of ["dragenter", "dragover"]) element.addEventListener(name, (event) => { event.preventDefault(); element.classList.add("over"); });
  for (const name of ["dragleave", "drop"]) element.addEventListener(name, () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); });
  document.addEventListener("paste", onPaste);

  show(picture);
  if (picture && !picture.width) get(`/v1/${picture.asset}`).then((asset) => set(described(asset)), () => set(null));

  return {
    element,
    leave() {
      turn += 1;
      document.removeEventListener("paste", onPaste);
      forget();
    },
    /** Shows what a video of a size has of the picture. `fit`: CROP or PAD; no size: the vendor decides. */
    frameFor(size, fit) {
      frame.classList.toggle("pad", Boolean(size) && fit === "PAD");
      frame.style.aspectRatio = "";
      cut.hidden = true;
      if (!size || !picture?.width) return;
      const wanted = size.width / size.height;
      const has = picture.width / picture.height;
      if (fit === "PAD") { frame.style.aspectRatio = String(wanted); return; }
      cut.hidden = Math.abs(wanted - has) < 0.01;
      const [width, height] = wanted < has ? [(wanted / has) * 100, 100] : [100, (has / wanted) * 100];
      Object.assign(cut.style, { width: `${width}%`, height: `${height}%`, left: `${(100 - width) / 2}%`, top: `${(100 - height) / 2}%` });
    },
  };
}
