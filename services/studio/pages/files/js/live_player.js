// Plays a video while it is made: the fragments of the live playlist, by Media Source Extensions.
import { START_S, rateOf } from "./playout.js";

const POLL_MS = 350;
const reduced = matchMedia("(prefers-reduced-motion: reduce)");
const Source = window.ManagedMediaSource || window.MediaSource;

/** Feeds a video element with a job's fragments. `onState(state)` is called with `waiting`, `playing`, `complete` or `none`. */
export class LivePlayer {
  constructor(video, id, onState) {
    this.video = video;
    this.address = new URL(`/v1/videos/video_${id}/live.m3u8`, location.href);
    this.onState = onState;
    this.stopped = new AbortController();
    this.next = 0;
    this.fragment = 1;
    this.complete = false;
    this.wake = () => {};
  }

  /** Reads until the end. Never throws: without fragments the video is shown when it is complete. */
  async run() {
    try {
      if (!Source) throw new Error("this browser has no Media Source Extensions");
      const { codecs, media } = await this.begun();
      const type = `video/mp4; codecs="${codecs}"`;
      if (!Source.isTypeSupported(type)) throw new Error(`this browser does not play ${type}`);
      const source = new Source();
      const opened = new Promise((done) => source.addEventListener("sourceopen", done, { once: true }));
      this.video.disableRemotePlayback = true;
      this.url = URL.createObjectURL(source);
      this.video.src = this.url;
      await opened;
      this.buffer = source.addSourceBuffer(type);
      this.video.addEventListener("timeupdate", () => this.pace());
      while (!this.complete) {
        await this.read(media);
        if (!this.complete) await this.pause();
      }
      if (source.readyState === "open") source.endOfStream();
      this.pace();
      this.onState("complete");
    } catch (error) {
      if (error.name === "AbortError") return;
      this.onState("none", error);
    }
  }

  /** Waits for the first fragment. */
  async begun() {
    for (;;) {
      const answer = await fetch(this.address, { signal: this.stopped.signal }).catch((error) => {
        if (error.name === "AbortError") throw error;
        return null;
      });
      if (answer?.ok) {
        const text = await answer.text();
        const uri = text.split("\n").find((line) => line && !line.startsWith("#"));
        return { codecs: /CODECS="([^"]+)"/.exec(text)?.[1] ?? "avc1.42E01E", media: new URL(uri, this.address) };
      }
      if (answer && answer.status !== 503 && answer.status !== 504) throw new Error(`there is nothing to play live: ${answer.status}`);
      await this.pause(1000);
    }
  }

  /** Appends what the playlist has more than before. */
  async read(media) {
    const answer = await fetch(media, { signal: this.stopped.signal, cache: "no-store" }).catch((error) => {
      if (error.name === "AbortError") throw error;
      return null;
    });
    if (!answer?.ok) {
      if (answer && answer.status < 500) throw new Error(`the playlist ended: ${answer.status}`);
      return;
    }
    let number = 0;
    let init = null;
    let length = 0;
    const text = await answer.text();
    for (const line of text.split("\n")) {
      if (line.startsWith("#EXT-X-MAP")) init = /URI="([^"]+)"/.exec(line)[1];
      if (line.startsWith("#EXTINF:")) length = parseFloat(line.slice(8));
      if (!line || line.startsWith("#")) continue;
      if (number === this.next) {
        if (init !== this.init) await this.append(new URL(init, media));
        this.init = init;
        if (!(await this.append(new URL(line, media)))) return;
        this.next += 1;
        this.fragment = length;
        if (this.next === 1) this.start();
      }
      number += 1;
    }
    this.complete = text.includes("#EXT-X-ENDLIST") && this.next === number;
  }

  /** Reads a segment into the buffer. Returns whether it was there. */
  async append(url) {
    const answer = await fetch(url, { signal: this.stopped.signal }).catch((error) => {
      if (error.name === "AbortError") throw error;
      return null;
    });
    if (!answer?.ok) return false;
    const data = await answer.arrayBuffer();
    await new Promise((done, failed) => {
      this.buffer.addEventListener("updateend", done, { once: true });
      this.buffer.addEventListener("error", () => failed(new Error("a fragment cannot be played")), { once: true });
      this.buffer.appendBuffer(data);
    });
    this.pace();
    return true;
  }

  start() {
    this.onState("playing");
    if (reduced.matches) return;
    this.timer = setTimeout(() => this.video.play().catch(() => {}), START_S * 1000);
  }

  pace() {
    const { buffered, currentTime } = this.video;
    const ahead = buffered.length ? buffered.end(buffered.length - 1) - currentTime : 0;
    const rate = rateOf(ahead, this.fragment, this.complete);
    if (this.video.playbackRate !== rate) this.video.playbackRate = rate;
  }

  pause(milliseconds = POLL_MS) {
    return new Promise((done) => {
      const timer = setTimeout(done, milliseconds);
      this.wake = () => { clearTimeout(timer); done(); };
    });
  }

  /** A fragment was announced: looks at once. */
  poke() {
    this.wake();
  }

  /** Ends the reading. What is there stays playable. */
  stop() {
    clearTimeout(this.timer);
    this.stopped.abort();
    this.wake();
  }

  /** Frees what was read. */
  release() {
    this.stop();
    if (this.url) URL.revokeObjectURL(this.url);
  }
}
