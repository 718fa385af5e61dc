// Numbers, times and names for people, in the language of the browser.

const wide = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const times = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clocks = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });

/** Returns an amount with as many digits as it needs: a price of less than a cent is not 0. */
export function money(amount) {
  if (!amount) return "–";
  return micros(amount.amountMicros, amount.currencyCode);
}

/** Returns millionths of a currency as an amount. */
export function micros(value, currency) {
  const units = Number(value) / 1e6;
  const digits = units !== 0 && (Math.abs(units) < 1 || Number(value) % 10000 !== 0) ? 6 : 2;
  const style = currency ? { style: "currency", currency } : {};
  return new Intl.NumberFormat(undefined, { ...style, minimumFractionDigits: 2, maximumFractionDigits: digits }).format(units);
}

/** Returns the seconds of a length such as `2.5s`. */
export const secondsOf = (length) => (length ? Number(length.slice(0, -1)) : 0);
/** Returns seconds as text. */
export const seconds = (count) => `${Math.round(count * 10) / 10} s`;

/** Returns how long something takes, for a person. */
export function span(count) {
  if (count < 1) return "less than a second";
  if (count < 90) return `${Math.round(count)} s`;
  return count < 5400 ? `${Math.round(count / 60)} min` : `${Math.round(count / 3600)} h`;
}

/** Returns a place in a video, as 0:03.2. */
export function place(count) {
  const whole = Math.max(0, count || 0);
  return `${Math.floor(whole / 60)}:${(whole % 60).toFixed(1).padStart(4, "0")}`;
}

/** Returns a size. */
export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = Number(count);
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export const count = (value) => wide.format(Number(value));
export const time = (value) => (value ? times.format(new Date(value)) : "–");
export const clock = (value) => (value ? clocks.format(new Date(value)) : "–");

/** Returns when something is, from now: `now`, `in 12 s`, `3 min ago`. */
export function fromNow(value) {
  const away = (new Date(value) - Date.now()) / 1000;
  if (Math.abs(away) < 2) return "now";
  return away > 0 ? `in ${span(away)}` : `${span(-away)} ago`;
}

/** Returns the name of an enum's value or a stage for people: `IMAGE_TO_VIDEO` is `Image to video`. */
export function words(value) {
  const text = String(value || "").replaceAll(/[_-]+/g, " ").toLowerCase();
  return text.charAt(0).toUpperCase() + text.slice(1);
}
