// When a video that is being made moves, and how fast: so that it does not stop between fragments that come in time.

/** Seconds from the first fragment's announcement to the first movement. A fragment whose reading takes so long is not missed. */
export const START_S = 0.25;
/** Speed while less than a fragment is ahead: too little to be seen, and it gains time. */
export const SLOW = 0.94;

/** Returns the speed. `ahead`: seconds of video that are there; `fragment`: seconds of the last one. */
export function rateOf(ahead, fragment, complete) {
  return complete || ahead > fragment * 1.5 ? 1 : SLOW;
}

/** Returns the seconds to wait with a first fragment that is there now. `announced`: the second in which it was announced; `now` if it was not. */
export const waitOf = (now, announced) => Math.min(START_S, Math.max(0, announced + START_S - now));

/** Plays a simulated video, announced at 0: returns how often it stops. `arrivals`: seconds at which each fragment is there. */
export function underruns(arrivals, fragment, step = 0.02) {
  let position = 0;
  let stops = 0;
  let stands = false;
  const whole = arrivals.length * fragment;
  for (let now = arrivals[0] + waitOf(arrivals[0], 0); position < whole - step; now += step) {
    const there = arrivals.filter((arrival) => arrival <= now).length * fragment;
    const next = Math.min(there, position + step * rateOf(there - position, fragment, there === whole));
    const stood = next === position;
    if (stood && !stands) stops += 1;
    stands = stood;
    position = next;
  }
  return stops;
}
