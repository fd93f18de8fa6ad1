import type { Beat, Link } from "./contract";

/** When the last update came, and how the server's clock differs from the browser's. */
export interface Pulse {
  /** The number of the last beat. */
  n: number;
  /** Browser time in ms; null before the first update. */
  seen: number | null;
  /** Browser time in ms from which silence is counted. */
  from: number;
  /** Server time in ms at `from`, and how fast it runs. */
  server: number;
  rate: number;
  every: number;
  /** The comm was reported dead and nothing has come since. */
  lost: boolean;
  /** The last beat was requested, in a host that forwards no others. */
  asked: boolean;
}

const PATIENCE_MS = 4000;
/** In hosts that push nothing, how long a requested update counts as live. */
const ASKED_PATIENCE_MS = 30_000;

/**
 * The pulse of a model that existed before this view. Its beat may be from a notebook saved days
 * ago, so it counts as received when it was sent; the next beat corrects clocks that disagree.
 */
export function firstPulse(beat: Beat | undefined, now: number): Pulse {
  if (!beat?.now) {
    const nothing = {
      n: 0,
      seen: null,
      from: now,
      server: now,
      rate: 1,
      lost: false,
      asked: false,
    };
    return { ...nothing, every: beat?.every ?? 1 };
  }
  return pulseOf(beat, Math.min(now, beat.at ?? beat.now));
}

export function pulseOf(beat: Beat, now: number, asked = false): Pulse {
  return {
    n: beat.n,
    seen: now,
    from: now,
    server: beat.now,
    rate: beat.rate,
    every: beat.every,
    lost: false,
    asked,
  };
}

/** The server's time at a browser's time. */
export function serverTime(pulse: Pulse, now: number): number {
  return pulse.server + (now - pulse.from) * pulse.rate;
}

export function isStale(pulse: Pulse, link: Link["state"], now: number): boolean {
  if (link === "ended") {
    return false;
  }
  const patience = pulse.asked ? ASKED_PATIENCE_MS : Math.max(PATIENCE_MS, 3000 * pulse.every);
  return pulse.lost || now - pulse.from > patience;
}
