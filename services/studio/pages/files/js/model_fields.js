// The fields of a model's card, for one operation: exactly its parameters.
import { button, el, setIcon } from "./dom.js";
import { randomSeed } from "./draft.js";
import { choices, field, list } from "./field.js";
import { micros, seconds, secondsOf, words } from "./format.js";
import { maskField } from "./mask_field.js";
import { pictureInput } from "./picture_input.js";
import { soundInput } from "./sound_input.js";
import { sceneFields } from "./scene_fields.js";
import { offerOf } from "./spec.js";

const EXAMPLES = ["The person starts walking forward slowly", "The leaves begin to sway gently in the wind", "The water starts flowing and creating ripples", "The character turns their head and smiles"];

/** Returns {elements, previewed, seed, leave}. `models`: those of the operation; `another` draws the fields again. */
export function modelFields(draft, models, card, changed, another) {
  const offer = offerOf(card, draft.operation);
  const elements = [];
  let picture = null;
  let sound = null;
  let mask = null;
  let size = null;
  const set = (name) => (value) => { draft[name] = value; changed(); refit(); };

  function refit() {
    const fits = offer.sizes.length > 0 && draft.operation !== "TEXT_TO_VIDEO";
    picture?.frameFor(fits ? size : null, offer.fit ? draft.fit : "CROP");
  }

  if (offer.picture) {
    picture = pictureInput(draft.picture, (value) => { draft.picture = value; draft.mask = null; mask?.show(); changed(); refit(); });
    elements.push(picture.element);
  }
  if (offer.audio) {
    sound = soundInput(draft.audio, offer, set("audio"));
    elements.push(sound.element);
  }
  const scene = offer.scene ? sceneFields(draft, !offer.prompt, changed) : null;
  if (offer.prompt) elements.push(promptField(draft, offer, () => { scene?.show(); changed(); }));
  if (scene) elements.push(scene.element);

  const model = list(models.map((each) => [each.name, named(each)]), card.name, (value) => { draft.model = value; another(); });
  elements.push(field("model", "Model", model, { hint: card.description }), ...notes(card));
  const grid = el("div", { class: "settings" });
  elements.push(grid);

  const valid = (name, known) => { if (!known.includes(draft[name])) draft[name] = ""; return draft[name] || known[0]; };
  if (offer.durations.length > 1) grid.append(choices("duration", "Length", [...offer.durations].sort((a, b) => secondsOf(a) - secondsOf(b)).map((each) => [each, seconds(secondsOf(each))]), valid("duration", offer.durations), set("duration")));
  if (offer.sizes.length > 1) {
    const sizes = offer.sizes.map((each) => `${each.width}x${each.height}`);
    valid("size", sizes);
    const automatic = offer.picture ? [["", "Nearest to the picture"]] : [];
    grid.append(field("size", "Size", list([...automatic, ...sizes.map((each) => [each, each.replace("x", " × ")])], draft.size || (offer.picture ? "" : sizes[0]), set("size"))));
  }
  if (offer.resolutions.length > 1) grid.append(choices("resolution", "Resolution", offer.resolutions.map((each) => [each, each]), valid("resolution", offer.resolutions), set("resolution")));
  if (offer.qualities.length > 1) grid.append(choices("quality", "Quality", offer.qualities.map((each) => [each, each === "FAST" ? "Faster" : "Best"]), valid("quality", offer.qualities), set("quality")));
  if (offer.fit) grid.append(choices("fit", "Picture", [["CROP", "Fill, and crop"], ["PAD", "All of it, with bars"]], draft.fit, set("fit")));
  if (offer.expansion) grid.append(choices("promptExpansion", "Longer prompt", [["", "As usual"], ["yes", "Yes"], ["no", "No"]], draft.promptExpansion, set("promptExpansion")));
  if (offer.guidance) grid.append(guidance(draft, set("guidanceScale")));
  if (offer.mask) {
    mask = maskField(draft, changed);
    grid.append(mask.element);
  }
  if (offer.negative) grid.append(negative(draft, offer, changed));
  const seed = offer.seed ? seedField(draft, changed) : null;
  if (seed) grid.append(seed.element);

  return {
    elements,
    /** Takes what the service chose, such as the size. */
    previewed(preview) { size = preview.spec?.size?.width ? preview.spec.size : null; refit(); },
    seed: (value) => seed?.show(value),
    leave() { picture?.leave(); sound?.leave(); },
  };
}

/** Returns the name of a model with what tells it from others: who makes the video, and what it costs at least. */
function named(model) {
  const vendor = model.remote && words(model.remote.provider);
  return [model.displayName, vendor, costOf(model), model.drained && "in maintenance"].filter(Boolean).join(" · ");
}

function costOf(model) {
  const prices = model.remote ? model.remote.prices : [{ perSecond: model.pricePerSecond }];
  const amounts = prices.map(({ perSecond, perRun }) => (Number(perSecond?.amountMicros) ? [perSecond, " / s"] : [perRun, ""])).filter(([amount]) => amount);
  if (!amounts.length) return "";
  const [least, per] = amounts.reduce((one, other) => (Number(other[0].amountMicros) < Number(one[0].amountMicros) ? other : one));
  return `${amounts.length > 1 ? "from " : ""}${micros(least.amountMicros, least.currencyCode)}${per}`;
}

function notes(card) {
  const found = [];
  if (card.drained) found.push("Operators maintain this model now. New videos are refused until they have finished.");
  if (card.engine?.experimental) found.push("Experimental: its quality is not yet reliable.");
  if (card.remote?.simulation) found.push("A simulation: no money is spent.");
  if (card.remote?.availabilityReason) found.push(`${card.remote.availabilityReason} Videos wait until the vendor is back.`);
  if (card.remote?.deprecateDate) found.push(`It ends on ${card.remote.retireDate || card.remote.deprecateDate}.`);
  return found.map((text) => el("p", { class: "hint note", text }));
}

function counted(control, most) {
  const count = el("span", { class: "hint figures", "aria-hidden": "true" });
  const show = () => {
    count.textContent = `${[...control.value].length} / ${most}`;
    count.classList.toggle("wrong", [...control.value].length > most);
  };
  control.addEventListener("input", show);
  show();
  return [count, show];
}

function promptField(draft, offer, changed) {
  const control = el("textarea", { value: draft.prompt, rows: "4", placeholder: offer.picture ? "How does the picture move?" : "What does the video show?", oninput: () => { draft.prompt = control.value; changed(); } });
  const [count, show] = counted(control, offer.promptMax);
  const examples = el("div", { class: "chips", role: "group", "aria-label": "Examples" }, EXAMPLES.map((text) => el("button", { type: "button", class: "chip", text, onclick: () => { control.value = text; draft.prompt = text; show(); changed(); control.focus(); } })));
  const made = field("prompt", "Prompt", control, { top: count, optional: offer.scene });
  made.append(examples);
  return made;
}

function negative(draft, offer, changed) {
  const control = el("textarea", { value: draft.negativePrompt, rows: "2", placeholder: "What it must not show", oninput: () => { draft.negativePrompt = control.value; changed(); } });
  const made = field("negativePrompt", "Negative prompt", control, { top: counted(control, offer.negativeMax)[0], optional: true });
  made.classList.add("whole");
  return made;
}

function guidance(draft, set) {
  const shown = el("output", { class: "hint figures" });
  const control = el("input", { type: "range", min: "0", max: "1", step: "0.05", oninput: () => { show(control.value); set(control.value); } });
  const usual = button("As usual", () => { show(""); set(""); control.focus(); }, { kind: "small quiet" });
  function show(value) {
    control.value = value === "" ? "0.5" : value;
    shown.textContent = value === "" ? "As the model has it" : value;
    control.setAttribute("aria-valuetext", shown.textContent);
    usual.hidden = value === "";
  }
  show(draft.guidanceScale);
  return field("guidanceScale", "Guidance", control, { top: el("div", { class: "row tight" }, shown, usual), hint: "To the right it follows the prompt more closely." });
}

function seedField(draft, changed) {
  const control = el("input", { type: "text", inputmode: "numeric", autocomplete: "off", value: draft.seed, oninput: () => { draft.seed = control.value.trim(); changed(); } });
  const roll = button("Another seed", () => { draft.seed = randomSeed(); control.value = draft.seed; changed(); }, { symbol: "dice", only: true });
  const lock = button("Keep this seed for the next video", () => { draft.seedLocked = !draft.seedLocked; show(); changed(); }, { symbol: "unlock", only: true });
  const show = () => {
    lock.setAttribute("aria-pressed", String(draft.seedLocked));
    setIcon(lock, draft.seedLocked ? "lock" : "unlock");
  };
  show();
  const made = field("seed", "Seed", control);
  const row = el("div", { class: "row tight" });
  control.replaceWith(row);
  row.append(control, roll, lock);
  return { element: made, show(value) { control.value = value; } };
}
