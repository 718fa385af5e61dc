// A sound for the video: recorded here, a file, or one of the library.
import { adviceOn } from "./advice.js";
import { contentOf, get, upload } from "./api.js";
import { chooseAsset } from "./asset_dialog.js";
import { button, el, setIcon } from "./dom.js";
import { wrongSound } from "./file_kind.js";
import { place, seconds, secondsOf, span } from "./format.js";
import { say } from "./live_region.js";
import { wavOf } from "./wav.js";

/** Returns {element, leave}. `offer`: of the card. `changed(sound)` gets {asset, name, seconds} or null. */
export function soundInput(first, offer, changed) {
  const { audioRequired: required, audioMin, audioMax } = offer;
  let recorder = null;
  let clock = 0;
  let left = false;
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
  const status = el("p", { class: "hint figures", hidden: true });
  const drop = button("Remove the sound", () => { set(null); record.focus(); }, { kind: "small quiet", symbol: "close", only: true });
  const shown = el("div", { class: "row", hidden: true }, heard, facts, drop);
  const ways = el("div", { class: "row" }, record, choose, library, status);
  const lengths = audioMax ? el("p", { class: "hint", text: audioMin ? `From ${span(audioMin)} to ${span(audioMax)}.` : `Up to ${span(audioMax)}.` }) : null;
  const element = el("div", { class: "field", "data-field": "audio", role: "group", "aria-label": "Sound" },
    el("span", { class: "label" }, "Sound", required ? null : el("span", { class: "quiet-text", text: " (optional)" })), file, ways, shown, lengths, wrong);

  const described = (asset) => ({ asset: asset.name, name: asset.details?.title || "Sound", seconds: secondsOf(asset.duration) });

  function refuse(sentence) {
    wrong.textContent = sentence;
    wrong.hidden = !sentence;
    if (sentence) say(sentence);
  }

  /** Shows what is going on, in the place of the ways to another sound; empty: nothing. */
  function busy(text, records = false) {
    status.textContent = text;
    status.hidden = !text;
    choose.hidden = library.hidden = Boolean(text);
    record.hidden = Boolean(text) && !records;
  }

  async function take(given, name = given?.name) {
    if (!given) return;
    file.value = "";
    refuse(await wrongSound(given));
    if (!wrong.hidden) return;
    const focused = ways.contains(document.activeElement);
    busy("Uploading …");
    try {
      const asset = await upload(given, { title: name, progress: (share) => { status.textContent = `Uploading … ${Math.round(share * 100)} %`; } });
      if (left) return;
      set(described(asset));
      say("The sound is ready.");
    } catch (problem) {
      const { detail, step } = adviceOn(problem);
      refuse(step ? `${detail} ${step}` : detail);
    } finally {
      busy("");
      if (focused && !left) (shown.hidden ? record : drop).focus();
    }
  }

  async function toggle() {
    if (recorder) { recorder.stop(); return; }
    refuse("");
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      if (left) { stream.getTracks().forEach((track) => track.stop()); return; }
      recorder = new MediaRecorder(stream);
      const parts = [];
      const began = Date.now();
      recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
      recorder.addEventListener("stop", () => {
        recorder = null;
        clearInterval(clock);
        stream.getTracks().forEach((track) => track.stop());
        record.classList.remove("danger");
        setIcon(record, "microphone");
        record.querySelector("span").textContent = "Record";
        busy("");
        if (!left) keep(parts);
      });
      recorder.start();
      record.classList.add("danger");
      setIcon(record, "stop");
      record.querySelector("span").textContent = "Stop recording";
      const tick = () => {
        const so = (Date.now() - began) / 1000;
        busy(place(so), true);
        if (audioMax && so >= audioMax) recorder?.stop();
      };
      tick();
      clock = setInterval(tick, 200);
      say("Recording.");
    } catch {
      refuse("The microphone cannot be used. Allow it for this page in the browser, or choose a file.");
    }
  }

  /** Takes a recording as WAV: browsers record formats that vendors do not take. */
  async function keep(parts) {
    try {
      await take(await wavOf(new Blob(parts)), "Recording");
    } catch {
      refuse("Nothing was recorded. Record it again, or choose a file.");
    }
  }

  function set(sound) {
    refuse("");
    show(sound);
    changed(sound);
  }

  function show(sound) {
    const focused = ways.contains(document.activeElement);
    shown.hidden = !sound;
    ways.hidden = Boolean(sound);
    if (sound && focused) drop.focus();
    if (!sound) { heard.removeAttribute("src"); return; }
    heard.src = contentOf(sound.asset);
    facts.textContent = [sound.name, sound.seconds && seconds(sound.seconds)].filter(Boolean).join(" · ");
  }

  show(first);
  if (first && !first.seconds) get(`/v1/${first.asset}`).then((asset) => set(described(asset)), () => set(null));
  return { element, leave: () => { left = true; recorder?.stop(); } };
}
