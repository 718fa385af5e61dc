// What a model's card offers, and the spec of a job out of what was chosen. Nothing that the card does not have is sent.
import { idOf } from "./api.js";
import { secondsOf } from "./format.js";

export const OPERATIONS = {
  IMAGE_TO_VIDEO: { label: "Image to video", field: "imageToVideo" },
  TEXT_TO_VIDEO: { label: "Text to video", field: "textToVideo" },
  SCENE_ANIMATION: { label: "Scene", field: "sceneAnimation" },
  TALKING_AVATAR: { label: "Talking picture", field: "talkingAvatar" },
};

/** The parameters of an operation of a card. */
export function offerOf(card, operation) {
  const takes = new Set(card.remote ? card.remote.takes : ["seed"]);
  const own = (card.durationsByOperation || []).find((each) => each.operation === operation);
  const scene = operation === "SCENE_ANIMATION";
  const avatar = operation === "TALKING_AVATAR";
  return {
    picture: operation !== "TEXT_TO_VIDEO",
    prompt: !scene,
    promptMax: card.promptMaxCharacters,
    scene: scene || avatar,
    durations: avatar ? [] : (own ? own.durations : card.durations),
    sizes: card.remote ? [] : card.sizes,
    resolutions: card.remote ? card.remote.resolutions : [],
    qualities: card.qualities,
    fit: operation === "IMAGE_TO_VIDEO" && !card.remote,
    negative: (operation === "IMAGE_TO_VIDEO" || scene) && takes.has("negative-prompt"),
    negativeMax: card.remote ? card.remote.negativePromptMaxCharacters : 0,
    guidance: (operation === "IMAGE_TO_VIDEO" || scene) && takes.has("guidance-scale"),
    expansion: operation === "IMAGE_TO_VIDEO" && takes.has("prompt-expansion"),
    audio: avatar || (operation === "IMAGE_TO_VIDEO" && takes.has("audio")),
    audioRequired: avatar,
    audioMin: secondsOf(card.remote?.audioMin),
    audioMax: secondsOf(card.remote?.audioMax),
    mask: avatar && takes.has("mask"),
    seed: takes.has("seed"),
  };
}

/** Returns what must still be given, as [field, sentence] pairs. */
export function missing(draft, offer) {
  const found = [];
  if (offer.picture && !draft.picture) found.push(["picture", "Add a picture: drop one here, paste it, or choose a file."]);
  if (offer.audioRequired && !draft.audio) found.push(["audio", "Add the spoken sound: record it, or choose a file."]);
  if (offer.prompt && !offer.scene && !draft.prompt.trim()) found.push(["prompt", offer.picture ? "Describe how the picture moves." : "Describe the video."]);
  const hasStory = draft.story.trim() || draft.details.some(([name, value]) => name.trim() && value.trim());
  const wanted = offer.scene && (!offer.prompt || (hasStory && !draft.prompt.trim()));
  if (wanted && !draft.scene.trim()) found.push(["scene", "Describe what is visible and what happens."]);
  return found;
}

/** Returns the JobSpec of a draft. */
export function specOf(draft, card, operation) {
  const offer = offerOf(card, operation);
  const spec = { model: idOf(card.name) };
  const input = {};
  const prompt = draft.prompt.trim();
  const scene = draft.scene.trim();
  if (offer.picture) input.image = draft.picture.asset;
  if (offer.audio && draft.audio) input.audio = draft.audio.asset;
  if (offer.mask && draft.mask) input.mask = draft.mask.asset;
  if (offer.prompt && prompt) input.prompt = prompt;
  if (offer.scene && !(offer.prompt && prompt)) {
    if (scene) input.scene = scene;
    if (scene && draft.story.trim()) input.story = draft.story.trim();
    const details = Object.fromEntries(draft.details.filter(([name, value]) => name.trim() && value.trim()).map(([name, value]) => [name.trim(), value.trim()]));
    if (scene && Object.keys(details).length) input.details = details;
  }
  if (offer.fit) input.fit = draft.fit;
  if (offer.negative && draft.negativePrompt.trim()) input.negativePrompt = draft.negativePrompt.trim();
  if (offer.guidance && draft.guidanceScale !== "") input.guidanceScale = Number(draft.guidanceScale);
  if (offer.expansion && draft.promptExpansion !== "") input.promptExpansion = draft.promptExpansion === "yes";
  spec[OPERATIONS[operation].field] = input;
  if (offer.durations.includes(draft.duration)) spec.duration = draft.duration;
  if (offer.sizes.length && draft.size) {
    const [width, height] = draft.size.split("x").map(Number);
    if (offer.sizes.some((size) => size.width === width && size.height === height)) spec.size = { width, height };
  }
  if (offer.resolutions.includes(draft.resolution)) spec.resolution = draft.resolution;
  if (offer.qualities.includes(draft.quality)) spec.quality = draft.quality;
  if (offer.seed && draft.seed !== "") spec.seed = String(draft.seed);
  return spec;
}

/** Returns the field of the form that a path in the request is about. */
export function fieldOf(path) {
  const last = path.split(".").pop().replace(/\[.*$/, "").replaceAll(/_(\w)/g, (_, letter) => letter.toUpperCase());
  return { image: "picture" }[last] || last;
}
