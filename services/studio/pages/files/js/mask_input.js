// A mask: white where the picture may move. Drawn with a pointer, or with the arrow keys and the space bar.
import { contentOf, upload } from "./api.js";
import { button, el, newId } from "./dom.js";
import { problemNotice } from "./notice.js";
import { say } from "./live_region.js";

const SIDE = 720;

/** Shows the dialog. Returns {asset}, null for no mask, or undefined if nothing is changed. `picture`, `before`: of a draft. */
export function drawMask(picture, before) {
  return new Promise((done) => {
    const scale = Math.min(1, SIDE / Math.max(picture.width, picture.height));
    const canvas = el("canvas", { width: Math.round(picture.width * scale), height: Math.round(picture.height * scale), tabindex: "0", autofocus: true, role: "application", "aria-label": "Where the picture may move. Arrow keys move the brush, the space bar paints." });
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const brush = el("input", { type: "range", min: "8", max: "160", value: "56", id: newId("brush") });
    const erase = button("Erase", () => erase.setAttribute("aria-pressed", String(!erases())), { "aria-pressed": "false" });
    const dot = el("div", { class: "brush", "aria-hidden": "true" });
    const wrong = el("div");
    const at = { x: canvas.width / 2, y: canvas.height / 2 };
    const erases = () => erase.getAttribute("aria-pressed") === "true";
    let answer;

    /** Paints from a point to where the brush is: a fast pointer is reported only here and there. */
    function paint(from) {
      pen.globalCompositeOperation = erases() ? "destination-out" : "source-over";
      Object.assign(pen, { strokeStyle: "#fff", lineCap: "round", lineWidth: Number(brush.value) });
      pen.beginPath();
      pen.moveTo(from.x, from.y);
      pen.lineTo(at.x, at.y);
      pen.stroke();
    }

    function fill() {
      pen.globalCompositeOperation = "source-over";
      pen.fillStyle = "#fff";
      pen.fillRect(0, 0, canvas.width, canvas.height);
    }

    const clear = () => pen.clearRect(0, 0, canvas.width, canvas.height);

    /** Says whether something is painted. */
    function marked() {
      const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
      for (let alpha = 3; alpha < data.length; alpha += 4) if (data[alpha] > 127) return true;
      return false;
    }

    /** Draws a mask that was made before: its white is painted, its black is not. */
    function drawBefore() {
      pen.globalCompositeOperation = "source-over";
      pen.drawImage(earlier, 0, 0, canvas.width, canvas.height);
      const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
      for (let red = 0; red < pixels.data.length; red += 4) {
        pixels.data[red + 3] = pixels.data[red];
        pixels.data.fill(255, red, red + 3);
      }
      pen.putImageData(pixels, 0, 0);
    }

    function show() {
      const shown = canvas.clientWidth / canvas.width;
      Object.assign(dot.style, { left: `${at.x * shown}px`, top: `${at.y * shown}px`, width: `${brush.value * shown}px`, height: `${brush.value * shown}px` });
    }

    function move(event) {
      const box = canvas.getBoundingClientRect();
      const from = { ...at };
      at.x = ((event.clientX - box.left) / box.width) * canvas.width;
      at.y = ((event.clientY - box.top) / box.height) * canvas.height;
      show();
      if (event.buttons) paint(event.type === "pointerdown" ? at : from);
    }

    async function save() {
      if (!marked()) { wrong.replaceChildren(el("p", { class: "wrong", text: "Paint where the picture may move, or remove the mask." })); return; }
      const whole = el("canvas", { width: picture.width, height: picture.height });
      const pencil = whole.getContext("2d");
      pencil.fillStyle = "#000";
      pencil.fillRect(0, 0, whole.width, whole.height);
      pencil.drawImage(canvas, 0, 0, whole.width, whole.height);
      try {
        const blob = await new Promise((made) => whole.toBlob(made, "image/png"));
        answer = { asset: (await upload(blob, { title: "Mask" })).name };
        dialog.close();
      } catch (problem) {
        wrong.replaceChildren(problemNotice(problem, save));
      }
    }

    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); move(event); });
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!by && event.key !== " ") return;
      event.preventDefault();
      const from = { ...at };
      if (by) {
        at.x = Math.min(canvas.width, Math.max(0, at.x + by[0] * 16));
        at.y = Math.min(canvas.height, Math.max(0, at.y + by[1] * 16));
      }
      if (event.key === " " || event.shiftKey) { paint(from); say(erases() ? "Erased." : "Painted."); }
      show();
    });
    brush.addEventListener("input", show);
    const dialog = el("dialog", { "aria-label": "Mask" },
      el("div", { class: "head" }, el("h2", { text: "Where may the picture move?" }), button("Close", () => dialog.close(), { kind: "quiet", symbol: "close", only: true })),
      el("p", { class: "hint", text: "Paint over it. With the keyboard: arrow keys move the brush, space paints, Shift and an arrow paint on." }),
      el("div", { class: "mask" }, el("img", { src: contentOf(picture.asset), alt: "" }), canvas, dot), el("div", { class: "row" }, el("label", { class: "label", for: brush.id, text: "Brush" }), el("div", { class: "grows" }, brush), erase), wrong,
      el("div", { class: "row" }, button("Use this mask", save, { kind: "main" }),
        button("Paint everything", fill), button("Clear", clear),
        button("No mask", () => { answer = null; dialog.close(); }, { kind: "quiet" })));
    dialog.addEventListener("close", () => { dialog.remove(); done(answer); });
    document.body.append(dialog);
    dialog.showModal();
    show();
    const earlier = before && el("img", { alt: "", onload: drawBefore, src: contentOf(before.asset) });
  });
}
