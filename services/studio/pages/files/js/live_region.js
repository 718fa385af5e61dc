// The one polite live region of the page. What is said twice at once is said once.
const region = document.getElementById("live");
let waiting = "";
let timer = 0;

/** Says a sentence to screen readers. A newer one within a moment replaces it. */
export function say(sentence) {
  waiting = sentence;
  if (timer) return;
  timer = setTimeout(() => {
    timer = 0;
    region.textContent = region.textContent === waiting ? `${waiting}\u00a0` : waiting;
  }, 250);
}
