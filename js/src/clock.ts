import type { Beat, Link } from "./contract";

/** When the last update came, and how the server's clock differs from the browser's. */
export interface Pulse {
  /** The number of the last beat. */
  n: number;
  /** Browser time in ms; null before the first update. */
  seen: number | null;
  /** Browser time in ms from which silence is counted, and until which it means nothing. */
  from: number;
  until: number;
  /** Server time in ms at `from`, and how fast it runs. */
  server: number;
  rate: number;
  /** Kernel time in ms at `from`. */
  kernel: number;
  /** A beat came to this view by itself; the first one is part of the model, and may be older. */
  heard: boolean;
  /** The comm was reported dead and nothing has come since. */
  lost: boolean;
  /** The last beat was requested, in a host that forwards no others. */
  asked: boolean;
}

const PATIENCE_MS = 4000;
/** In hosts that push nothing, how long a requested update counts as live. */
const ASKED_PATIENCE_MS = 30_000;

function patience({ every }: Beat): number {
  return Math.max(PATIENCE_MS, 3000 * every);
}

/**
 * The pulse of a model that existed before this view. Its beat may be from a notebook saved days
 * ago, so it counts as received when it was sent; the next beat corrects clocks that disagree.
 * A host that pushes updates soon sends another one: until then nothing shows that it does.
 */
export function firstPulse(beat: Beat | undefined, now: number): Pulse {
  if (!beat?.now) {
    const nothing = { n: 0, now, at: now, rate: 1, every: 1 };
    return { ...echoOf(nothing, now), seen: null };
  }
  const sent = Math.min(now, beat.at ?? beat.now);
  const old = now - sent > patience(beat);
  return { ...echoOf(beat, sent), until: old ? sent : now + PATIENCE_MS };
}

export function pulseOf(beat: Beat, now: number, asked = false): Pulse {
  return {
    n: beat.n,
    seen: now,
    from: now,
    until: now + (asked ? ASKED_PATIENCE_MS : patience(beat)),
    server: beat.now,
    rate: beat.rate,
    kernel: beat.at ?? now,
    heard: true,
    lost: false,
    asked,
  };
}

/** The pulse after a beat that the view's own first messages may have caused: it proves nothing. */
export function echoOf(beat: Beat, now: number): Pulse {
  return { ...pulseOf(beat, now), until: now + PATIENCE_MS, heard: false };
}

/** The server's time at a browser's time. */
export function serverTime(pulse: Pulse, now: number): number {
  return pulse.server + (now - pulse.from) * pulse.rate;
}

/** The kernel's time at a browser's time. */
export function kernelTime(pulse: Pulse, now: number): number {
  return pulse.kernel + now - pulse.from;
}

export function isStale(pulse: Pulse, link: Link["state"], now: number): boolean {
  return link !== "ended" && (pulse.lost || now > pulse.until);
}
