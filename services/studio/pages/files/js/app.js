// The page: who is signed in, the places, the colour scheme, and what holds for every view.
import { connection, get } from "./api.js";
import { button, el } from "./dom.js";
import { follow, refresh, unfinished } from "./jobs.js";
import { say } from "./live_region.js";
import { notice, problemNotice } from "./notice.js";
import { route } from "./router.js";

const PLACES = {
  make: { label: "Make" },
  history: { label: "History" },
  compare: { label: "Compare" },
  library: { label: "Library" },
  usage: { label: "Usage", when: ({ may }) => may("USAGE") },
  webhooks: { label: "Webhooks", when: ({ may }) => may("TENANT_ADMIN") },
  keys: { label: "Keys", when: ({ may }) => may("TENANT_ADMIN") },
};
const THEMES = { auto: "Automatic colours", light: "Light", dark: "Dark" };
const AGAIN_MS = 3000;
const banner = document.getElementById("banner");

function themes() {
  const switcher = document.getElementById("theme");
  const root = document.documentElement;
  const show = () => {
    switcher.querySelector("span").textContent = THEMES[root.dataset.theme || "auto"];
  };
  switcher.addEventListener("click", () => {
    const next = { auto: "light", light: "dark", dark: "auto" }[root.dataset.theme || "auto"];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    try { localStorage.setItem("i2v-theme", next); } catch { /* storage is off: it holds for this page */ }
    show();
    say(THEMES[next]);
  });
  show();
}

function connections() {
  let state = "online";
  let timer = 0;
  const show = (next, made) => {
    if (state === next || state === "signed-out") return;
    state = next;
    banner.replaceChildren(...(made ? [made] : []));
  };
  connection.addEventListener("signed-out", () => show("signed-out", notice("You are signed out", "Your session has ended. Your drafts and videos are kept.", { actions: [el("a", { class: "button small", href: "/sign-in", text: "Sign in" })] })));
  // While there is no answer the page asks again by itself, also without a video that is being made.
  const asks = () => { clearInterval(timer); timer = setInterval(refresh, AGAIN_MS); };
  const offline = () => show("offline", notice("No connection", "What is being made goes on. This page continues when the connection is back.", { kind: "warn", actions: [button("Try again", refresh, { kind: "small", symbol: "again" })] }));
  const away = () => show("away", notice("The service is away", "Nothing is lost: what was ordered goes on, or waits. This page continues when the service is back.", { kind: "warn", actions: [button("Try again", refresh, { kind: "small", symbol: "again" })] }));
  const online = () => {
    clearInterval(timer);
    if (state === "offline") say("The connection is back.");
    if (state === "away") say("The service is back.");
    show("online", null);
  };
  for (const kind of ["offline", "away"]) connection.addEventListener(kind, asks);
  connection.addEventListener("offline", offline);
  connection.addEventListener("away", away);
  connection.addEventListener("online", online);
  addEventListener("offline", offline);
  addEventListener("online", refresh);
}

/** Says who is signed in to the other tabs, whose cookie is the same, and hears it from them. */
function sameInEveryTab({ tenant, user }) {
  if (!("BroadcastChannel" in window)) return;
  const tabs = new BroadcastChannel("i2v-session");
  const me = `${tenant}/${user}`;
  tabs.postMessage(me);
  tabs.addEventListener("message", ({ data }) => {
    if (data !== me) banner.replaceChildren(notice("Someone else is signed in now", "Another tab of this browser signed in with another name. Reload this page to go on with it.", { kind: "warn", actions: [button("Reload", () => location.reload(), { kind: "small" })] }));
  });
}

function counts() {
  const link = document.querySelector('[data-place="history"]');
  let shown = null;
  follow(() => {
    const running = unfinished().length;
    shown?.remove();
    shown = running ? el("span", { class: "count" }, String(running), el("span", { class: "unseen", text: " running" })) : null;
    if (shown) link.append(shown);
  });
}

async function begin() {
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("main").focus();
  });
  themes();
  connections();
  const session = await get("/v1/session");
  const context = { session, may: (scope) => session.scopes.includes(scope) };
  document.getElementById("who").replaceChildren(el("strong", { text: session.user }), session.tenant);
  document.getElementById("sign-out").addEventListener("submit", () => {
    try { sessionStorage.clear(); } catch { /* storage is off */ }
  });
  sameInEveryTab(session);
  if (session.suspended) banner.replaceChildren(notice("Your company’s account is suspended", "You can see and download your videos, but make no new ones.", { kind: "warn" }));
  const shown = route(PLACES, context);
  counts();
  refresh();
  await shown;
  document.documentElement.dataset.ready = "";
}

begin().catch((problem) => document.getElementById("main").replaceChildren(problemNotice(problem, () => location.reload())));
