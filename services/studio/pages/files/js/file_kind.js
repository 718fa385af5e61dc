// What a file is, by its first bytes: its name and the type that the browser reports are only words.
const KINDS = [
  ["image/png", (text) => text.startsWith("\x89PNG\r\n\x1a\n")],
  ["image/jpeg", (text) => text.startsWith("\xff\xd8\xff")],
  ["image/webp", (text) => text.startsWith("RIFF") && text.slice(8, 12) === "WEBP"],
  ["image/avif", (text) => /^ftyp(avif|avis)/.test(text.slice(4))],
  ["image/heic", (text) => /^ftyp(heic|heix|hevc|mif1|msf1)/.test(text.slice(4))],
  ["audio/wav", (text) => text.startsWith("RIFF") && text.slice(8, 12) === "WAVE"],
  ["audio/ogg", (text) => text.startsWith("OggS")],
  ["audio/flac", (text) => text.startsWith("fLaC")],
  ["audio/mpeg", (text) => text.startsWith("ID3") || /^\xff[\xe2-\xe7\xf2-\xf7\xfa\xfb]/.test(text)],
  ["audio/aac", (text) => /^\xff[\xf0\xf1\xf8\xf9]/.test(text)],
  ["audio/mp4", (text) => text.slice(4, 11) === "ftypM4A" || text.slice(4, 8) === "ftyp"],
];
export const PICTURE_BYTES = 10_000_000;
export const SOUND_BYTES = 50_000_000;

/** Returns the media type of a file; empty: none that is known here. */
export async function kindOf(file) {
  const text = String.fromCharCode(...new Uint8Array(await file.slice(0, 16).arrayBuffer()));
  return (KINDS.find(([, is]) => is(text)) || [""])[0];
}

/** Returns what is wrong with a file as a picture; empty: nothing. */
export async function wrongPicture(file) {
  if (file.size === 0) return "The file is empty. Choose another one.";
  if (file.size > PICTURE_BYTES) return `The picture has ${(file.size / 1e6).toFixed(1)} MB, and may have 10 MB. Make it smaller.`;
  if (!(await kindOf(file)).startsWith("image/")) return "This file is no JPG, PNG, WebP, AVIF or HEIC picture. Choose another one.";
  return "";
}

/** Returns what is wrong with a file as a sound; empty: nothing. */
export async function wrongSound(file) {
  if (file.size === 0) return "The file is empty. Choose another one.";
  if (file.size > SOUND_BYTES) return `The sound has ${(file.size / 1e6).toFixed(1)} MB, and may have 50 MB. Make it shorter.`;
  if (!(await kindOf(file)).startsWith("audio/")) return "This file is no MP3, WAV, OGG, FLAC, M4A or AAC sound. Choose another one.";
  return "";
}
