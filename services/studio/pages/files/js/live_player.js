// Plays a video while it is made: the fragments of the live playlist, by Media Source Extensions.
import { rateOf, waitOf } from "./playout.js";

const POLL_MS = 350;
/** Milliseconds for an answer: a device that slept has connections that are dead. */
const PATIENCE_MS = 15_000;
const reduced = matchMedia("(prefers-reduced-motion: reduce)");
const Source = window.ManagedMediaSource || window.MediaSource;

/** Returns whether a refusal may pass: too many requests, or a service that is away. */
const passes = (status) => status === 429 || status >= 500;

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
    this.announced = null;
    this.wake = () => {};
  }

  /** Reads until the end. Never throws: without fragments the video is shown when it is complete. */
  async run() {
    try {
      if (!Source) throw new Error("this browser has no Media Source Extensions");
      // It opens before the first fragment is there: that takes as long as a request.
      const source = new Source();
      const opened = new Promise((done) => source.addEventListener("sourceopen", done, { once: true }));
      this.video.disableRemotePlayback = true;
      this.url = URL.createObjectURL(source);
      this.video.src = this.url;
      const [{ codecs, media }] = await Promise.all([this.begun(), opened]);
      const type = `video/mp4; codecs="${codecs}"`;
      if (!Source.isTypeSupported(type)) throw new Error(`this browser does not play ${type}`);
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

  /** Returns the answer of an address, or null if there is none. Throws AbortError once the player is stopped. */
  async asked(url, cache = "default") {
    const signal = AbortSignal.any([this.stopped.signal, AbortSignal.timeout(PATIENCE_MS)]);
    try {
      return await fetch(url, { signal, cache });
    } catch (error) {
      if (this.stopped.signal.aborted) throw error;
      return null;
    }
  }

  /** Waits for the first fragment. */
  async begun() {
    for (;;) {
      const answer = await this.asked(this.address);
      if (answer?.ok) {
        const text = await answer.text();
        const uri = text.split("\n").find((line) => line && !line.startsWith("#"));
        return { codecs: /CODECS="([^"]+)"/.exec(text)?.[1] ?? "avc1.42E01E", media: new URL(uri, this.address) };
      }
      if (answer && !passes(answer.status)) throw new Error(`there is nothing to play live: ${answer.status}`);
      await this.pause(1000);
    }
  }

  /** Appends what the playlist has more than before. */
  async read(media) {
    const answer = await this.asked(media, "no-store");
    if (!answer?.ok) {
      if (answer && !passes(answer.status)) throw new Error(`the playlist ended: ${answer.status}`);
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
        const fresh = init !== this.init;
        const [head, data] = await Promise.all([fresh ? this.bytes(new URL(init, media)) : null, this.bytes(new URL(line, media))]);
        if ((fresh && !head) || !data) return;
        if (fresh) await this.append(head);
        this.init = init;
        await this.append(data);
        this.next += 1;
        this.fragment = length;
        if (this.next === 1) this.start();
      }
      number += 1;
    }
    this.complete = text.includes("#EXT-X-ENDLIST") && this.next === number;
  }

  /** Returns what is at an address; null: nothing, now. */
  bytes(url) {
    return this.asked(url).then((answer) => (answer?.ok ? answer.arrayBuffer() : null)).catch(() => null);
  }

  async append(data) {
    await new Promise((done, failed) => {
      this.buffer.addEventListener("updateend", done, { once: true });
      this.buffer.addEventListener("error", () => failed(new Error("a fragment cannot be played")), { once: true });
      this.buffer.appendBuffer(data);
    });
    this.pace();
  }

  start() {
    this.onState("playing");
    if (reduced.matches) return;
    const now = performance.now() / 1000;
    this.timer = setTimeout(() => this.video.play().catch(() => {}), waitOf(now, this.announced ?? now) * 1000);
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
    this.announced ??= performance.now() / 1000;
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
