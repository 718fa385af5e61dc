// The draft of the next video. A reload keeps it, for this person in this tab; the last choices hold for new tabs.
import { inputOf } from "./jobs.js";
import { OPERATIONS } from "./spec.js";

export const SEEDS = 2 ** 31;
const EMPTY = {
  operation: "", model: "", picture: null, audio: null, mask: null, prompt: "", negativePrompt: "", scene: "", story: "",
  details: [], fit: "CROP", duration: "", size: "", resolution: "", quality: "", guidanceScale: "", promptExpansion: "",
  seed: "", seedLocked: false,
};

export const randomSeed = () => String(crypto.getRandomValues(new Uint32Array(1))[0] % SEEDS);

/** Returns the draft of a person, and a function that keeps it. */
export function draftOf({ tenant, user }) {
  const key = `i2v-draft:${tenant}/${user}`;
  let kept = {};
  try { kept = JSON.parse(sessionStorage.getItem(key)) || {}; } catch { /* storage is off, or of another version */ }
  const draft = { ...EMPTY, ...Object.fromEntries(Object.entries(kept).filter(([name]) => name in EMPTY)) };
  if (draft.seed === "") draft.seed = randomSeed();
  const keep = () => {
    try { sessionStorage.setItem(key, JSON.stringify(draft)); } catch { /* it holds for this page */ }
  };
  return [draft, keep];
}

/** Takes the settings of a job into a draft. */
export function reuse(draft, job) {
  const [field, input] = inputOf(job.spec);
  const operation = Object.keys(OPERATIONS).find((each) => OPERATIONS[each].field === field);
  const { spec } = job;
  const asset = (name) => (name ? { asset: name, name: "From the library" } : null);
  Object.assign(draft, EMPTY, {
    operation,
    model: `models/${spec.model}`,
    picture: asset(input.image), audio: asset(input.audio), mask: asset(input.mask),
    prompt: input.prompt || "", negativePrompt: input.negativePrompt || "", scene: input.scene || "", story: input.story || "",
    details: Object.entries(input.details || {}),
    fit: input.fit === "PAD" ? "PAD" : "CROP",
    duration: spec.duration || "", size: spec.size ? `${spec.size.width}x${spec.size.height}` : "",
    resolution: spec.resolution || "", quality: spec.quality === "QUALITY_UNSPECIFIED" ? "" : spec.quality || "",
    guidanceScale: input.guidanceScale ?? "", promptExpansion: input.promptExpansion === undefined ? "" : input.promptExpansion ? "yes" : "no",
    seed: spec.seed ?? randomSeed(), seedLocked: spec.seed !== undefined,
  });
}
