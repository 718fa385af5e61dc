// When a video that is being made moves, and how fast: so that it does not stop between fragments that come in time.

/** Seconds from the first fragment to the first movement. A fragment that is so late is not missed. */
export const START_S = 0.25;
/** Speed while less than a fragment is ahead: too little to be seen, and it gains time. */
export const SLOW = 0.94;

/** Returns the speed. `ahead`: seconds of video that are there; `fragment`: seconds of the last one. */
export function rateOf(ahead, fragment, complete) {
  return complete || ahead > fragment * 1.5 ? 1 : SLOW;
}

/** Plays a simulated video: returns how often it stops. `arrivals`: seconds at which each fragment is there. */
export function underruns(arrivals, fragment, step = 0.02) {
  let position = 0;
  let stops = 0;
  let stands = false;
  const whole = arrivals.length * fragment;
  for (let now = arrivals[0] + START_S; position < whole - step; now += step) {
    const there = arrivals.filter((arrival) => arrival <= now).length * fragment;
    const next = Math.min(there, position + step * rateOf(there - position, fragment, there === whole));
    const stood = next === position;
    if (stood && !stands) stops += 1;
    stands = stood;
    position = next;
  }
  return stops;
}
