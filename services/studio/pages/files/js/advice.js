// What a person can do about a refusal. The sentence itself is the service's own.
const TITLES = {
  OFFLINE: "No connection",
  API_UNAVAILABLE: "The service is away",
  API_KEY_MISSING: "You are signed out",
  SCOPE_MISSING: "Your key may not do this",
  TENANT_SUSPENDED: "Your company’s account is suspended",
  BACKEND_DRAINED: "This model is being maintained",
  QUEUE_LIMIT_REACHED: "Too many videos are waiting",
  DEADLINE_UNREACHABLE: "It would not be ready in time",
  QUOTE_STALE: "The price has changed",
  QUOTE_EXPIRED: "The price has expired",
};
const STEPS = {
  OFFLINE: "Nothing is lost: it goes on when the connection is back.",
  API_UNAVAILABLE: "Nothing is lost. Try again in a moment.",
  SCOPE_MISSING: "Ask your company’s admin for a key with this right.",
  TENANT_SUSPENDED: "You can still see and download. Ask your company’s admin.",
  BACKEND_DRAINED: "Choose another model, or try again later.",
  QUEUE_LIMIT_REACHED: "Try again in a moment. Nothing was charged.",
  DEADLINE_UNREACHABLE: "Choose a shorter video, or submit it later. Nothing was charged.",
  QUOTE_STALE: "Look at the new price, then start again. Nothing was charged.",
  QUOTE_EXPIRED: "The new price is shown. Start again. Nothing was charged.",
};

/** Returns {title, detail, step} of a problem. */
export function adviceOn(problem) {
  const titleOf = { 400: "Please check this", 401: TITLES.API_KEY_MISSING, 403: "Not allowed", 404: "Not found", 409: "It was used before", 412: "It has changed", 413: "The file is too large", 422: "Not now", 429: "A limit is reached" };
  const limited = problem.limits.length > 0;
  const reset = limited && problem.limits.map((each) => each.resetTime).filter(Boolean).sort()[0];
  let step = STEPS[problem.reason] || "";
  if (!step && limited) step = reset ? `It begins again ${new Date(reset).toLocaleString()}. Nothing was charged.` : "Wait for a running video, or stop one. Nothing was charged.";
  if (!step && problem.status === 401) step = "Sign in again. Your drafts and videos are kept.";
  if (!step && problem.mayPass) step = STEPS.API_UNAVAILABLE;
  return {
    title: TITLES[problem.reason] || titleOf[problem.status] || (problem.status >= 500 ? "The service failed" : "It did not work"),
    detail: limited ? problem.limits.map((each) => each.description).join(" ") : problem.message,
    step,
  };
}
