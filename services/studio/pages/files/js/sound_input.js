// A sound for the video: recorded here, a file, or one of the library.
import { adviceOn } from "./advice.js";
import { contentOf, get, upload } from "./api.js";
import { chooseAsset } from "./asset_dialog.js";
import { button, el, setIcon } from "./dom.js";
import { wrongSound } from "./file_kind.js";
import { seconds, secondsOf } from "./format.js";
import { say } from "./live_region.js";
import { wavOf } from "./wav.js";

/** Returns {element, leave}. `changed(sound)` gets {asset, name, seconds} or null. */
export function soundInput(first, required, changed) {
  let recorder = null;
  const file = el("input", { type: "file", class: "unseen", accept: "audio/*", tabindex: "-1", "aria-hidden": "true", onchange: () => take(file.files[0]) });
  const wrong = el("p", { class: "wrong", id: "audio-wrong", hidden: true });
  const record = button("Record", toggle, { kind: "small", symbol: "microphone" });
  const choose = button("Choose a file", () => file.click(), { kind: "small", "data-control": true });
  const library = button("From the library", async () => {
    const asset = await chooseAsset("audio", "Choose a sound");
    if (asset) set(described(asset));
  }, { kind: "small" });
  const heard = el("audio", { controls: true, preload: "metadata", "aria-label": "Your sound" });
  const facts = el("p", { class: "hint" });
  const drop = button("Remove the sound", () => set(null), { kind: "small quiet", symbol: "close", only: true });
  const shown = el("div", { class: "row", hidden: true }, heard, facts, drop);
  const ways = el("div", { class: "row" }, record, choose, library);
  const element = el("div", { class: "field", "data-field": "audio", role: "group", "aria-label": "Sound" },
    el("span", { class: "label" }, "Sound", required ? null : el("span", { class: "quiet-text", text: " (optional)" })), file, ways, shown, wrong);

  const described = (asset) => ({ asset: asset.name, name: asset.details?.title || "Sound", seconds: secondsOf(asset.duration) });

  function refuse(sentence) {
    wrong.textContent = sentence;
    wrong.hidden = !sentence;
  }

  async function take(given, name = given?.name) {
    if (!given) return;
    file.value = "";
    refuse(await wrongSound(given));
    if (!wrong.hidden) return;
    facts.textContent = "Uploading …";
    try {
      set(described(await upload(given, { title: name })));
      say("The sound is ready.");
    } catch (problem) {
      const { detail, step } = adviceOn(problem);
      refuse(step ? `${detail} ${step}` : detail);
    }
  }

  async function toggle() {
    if (recorder) { recorder.stop(); return; }
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      recorder = new MediaRecorder(stream);
      const parts = [];
      recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
      recorder.addEventListener("stop", async () => {
        recorder = null;
        stream.getTracks().forEach((track) => track.stop());
        setIcon(record, "microphone");
        record.querySelector("span").textContent = "Record";
        // Browsers record formats that vendors do not take.
        take(await wavOf(new Blob(parts)), "Recording");
      });
      recorder.start();
      setIcon(record, "stop");
      record.querySelector("span").textContent = "Stop recording";
      say("Recording.");
    } catch {
      refuse("The microphone cannot be used. Allow it for this page in the browser, or choose a file.");
    }
  }

  function set(sound) {
    refuse("");
    show(sound);
    changed(sound);
  }

  function show(sound) {
    shown.hidden = !sound;
    ways.hidden = Boolean(sound);
    if (!sound) { heard.removeAttribute("src"); return; }
    heard.src = contentOf(sound.asset);
    facts.textContent = [sound.name, sound.seconds && seconds(sound.seconds)].filter(Boolean).join(" · ");
  }

  show(first);
  if (first && !first.seconds) get(`/v1/${first.asset}`).then((asset) => set(described(asset)), () => set(null));
  return { element, leave: () => recorder?.stop() };
}
