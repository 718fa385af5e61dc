// A player with controls of our own, the same for a file and for a video that is being made.
import { button, el, setIcon } from "./dom.js";
import { place } from "./format.js";

/** Returns a player. `name`: what the video is called for screen readers. */
export function player(name, { fps = 16, controls = true } = {}) {
  const video = el("video", { playsinline: true, preload: "auto", "aria-label": name, muted: true });
  const play = button("Play", toggle, { kind: "quiet", symbol: "play", only: true });
  const seek = el("input", { type: "range", min: "0", max: "0", step: "any", value: "0", "aria-label": "Place in the video" });
  const time = el("span", { class: "figures small-text", "aria-hidden": "true" });
  const loop = button("Loop", () => setLoop(!video.loop), { kind: "quiet", symbol: "loop", only: true, "aria-pressed": "false" });
  const sound = button("Sound on", () => setMuted(!video.muted), { kind: "quiet", symbol: "muted", only: true, hidden: true });
  const full = button("Full screen", () => (document.fullscreenElement ? document.exitFullscreen() : frame.requestFullscreen()), { kind: "quiet", symbol: "full", only: true });
  const bar = el("div", { class: "controls", role: "group", "aria-label": "Playback" }, play, seek, time, loop, sound, full);
  const frame = el("div", { class: "player" }, el("div", { class: "frame" }, video), controls ? bar : null);

  function end() {
    const { buffered, duration } = video;
    if (Number.isFinite(duration) && duration > 0) return duration;
    return buffered.length ? buffered.end(buffered.length - 1) : 0;
  }

  function toggle() {
    if (video.paused) video.play().catch(() => {});
    else video.pause();
  }

  function setLoop(on) {
    video.loop = on;
    loop.setAttribute("aria-pressed", String(on));
  }

  function setMuted(on) {
    video.muted = on;
    setIcon(sound, on ? "muted" : "sound");
    sound.setAttribute("aria-label", on ? "Sound on" : "Sound off");
    sound.title = sound.getAttribute("aria-label");
  }

  function show() {
    seek.max = end().toFixed(3);
    if (document.activeElement !== seek || !seek.matches(":active")) seek.value = video.currentTime;
    const text = `${place(video.currentTime)} / ${place(end())}`;
    time.textContent = text;
    seek.setAttribute("aria-valuetext", `${video.currentTime.toFixed(1)} of ${end().toFixed(1)} seconds`);
  }

  function step(frames) {
    video.pause();
    video.currentTime = Math.min(end(), Math.max(0, video.currentTime + frames / fps));
  }

  const KEYS = {
    k: toggle, l: () => setLoop(!video.loop), ",": () => step(-1), ".": () => step(1),
    ArrowLeft: () => step(-fps / 4), ArrowRight: () => step(fps / 4),
    Home: () => { video.currentTime = 0; }, End: () => { video.currentTime = end(); },
  };
  frame.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  seek.addEventListener("input", () => { video.currentTime = Number(seek.value); });
  video.addEventListener("click", toggle);
  for (const event of ["timeupdate", "durationchange", "progress", "seeked", "loadeddata"]) video.addEventListener(event, show);
  for (const event of ["play", "pause", "ended"]) {
    video.addEventListener(event, () => {
      setIcon(play, video.paused ? "play" : "pause");
      play.setAttribute("aria-label", video.paused ? "Play" : "Pause");
      play.title = play.getAttribute("aria-label");
    });
  }
  show();

  return {
    element: frame, video, step, end,
    /** Shows a file. */
    load(src, poster = "") {
      if (poster) video.poster = poster;
      video.src = src;
    },
    hasSound() { sound.hidden = false; },
  };
}
