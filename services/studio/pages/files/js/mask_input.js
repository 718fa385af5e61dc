// A mask: white where the picture may move. Drawn with a pointer, or with the arrow keys and the space bar.
import { contentOf, upload } from "./api.js";
import { button, el } from "./dom.js";
import { problemNotice } from "./notice.js";
import { say } from "./live_region.js";

const SIDE = 720;

/** Shows the dialog. Returns {asset}, null for no mask, or undefined if nothing is changed. `picture`: of a draft. */
export function drawMask(picture) {
  return new Promise((done) => {
    const scale = Math.min(1, SIDE / Math.max(picture.width, picture.height));
    const canvas = el("canvas", { width: Math.round(picture.width * scale), height: Math.round(picture.height * scale), tabindex: "0", role: "application", "aria-label": "Where the picture may move. Arrow keys move the brush, the space bar paints." });
    const pen = canvas.getContext("2d");
    const brush = el("input", { type: "range", min: "8", max: "160", value: "56", "aria-label": "Size of the brush" });
    const dot = el("div", { class: "brush", "aria-hidden": "true" });
    const wrong = el("div");
    const at = { x: canvas.width / 2, y: canvas.height / 2 };
    let marked = false;
    let answer;

    function paint(x, y) {
      pen.fillStyle = "#fff";
      pen.beginPath();
      pen.arc(x, y, Number(brush.value) / 2, 0, Math.PI * 2);
      pen.fill();
      marked = true;
    }

    function show() {
      const shown = canvas.clientWidth / canvas.width;
      Object.assign(dot.style, { left: `${at.x * shown}px`, top: `${at.y * shown}px`, width: `${brush.value * shown}px`, height: `${brush.value * shown}px` });
    }

    function move(event) {
      const box = canvas.getBoundingClientRect();
      at.x = ((event.clientX - box.left) / box.width) * canvas.width;
      at.y = ((event.clientY - box.top) / box.height) * canvas.height;
      show();
      if (event.buttons) paint(at.x, at.y);
    }

    async function save() {
      if (!marked) { wrong.replaceChildren(el("p", { class: "wrong", text: "Paint where the picture may move, or remove the mask." })); return; }
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

    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); move(event); paint(at.x, at.y); });
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!by && event.key !== " ") return;
      event.preventDefault();
      if (by) {
        at.x = Math.min(canvas.width, Math.max(0, at.x + by[0] * 16));
        at.y = Math.min(canvas.height, Math.max(0, at.y + by[1] * 16));
      }
      if (event.key === " " || event.shiftKey) { paint(at.x, at.y); say("Painted."); }
      show();
    });
    brush.addEventListener("input", show);
    const dialog = el("dialog", { "aria-label": "Mask" },
      el("div", { class: "head" }, el("h2", { text: "Where may the picture move?" }), button("Close", () => dialog.close(), { kind: "quiet", symbol: "close", only: true })),
      el("p", { class: "hint", text: "Paint over it. With the keyboard: arrow keys move the brush, space paints, Shift and an arrow paint on." }),
      el("div", { class: "mask" }, el("img", { src: contentOf(picture.asset), alt: "" }), canvas, dot), brush, wrong,
      el("div", { class: "row" }, button("Use this mask", save, { kind: "main" }),
        button("Paint everything", () => { pen.fillStyle = "#fff"; pen.fillRect(0, 0, canvas.width, canvas.height); marked = true; }),
        button("Clear", () => { pen.clearRect(0, 0, canvas.width, canvas.height); marked = false; }),
        button("No mask", () => { answer = null; dialog.close(); }, { kind: "quiet" })));
    dialog.addEventListener("close", () => { dialog.remove(); done(answer); });
    document.body.append(dialog);
    dialog.showModal();
    show();
  });
}
