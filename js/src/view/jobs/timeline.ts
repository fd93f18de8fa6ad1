import type { Head } from "../../contract";
import type { JobList } from "../state/job-list";
import { epoch } from "../ui/format";
import { stateWord } from "../ui/words";

/** From and to, in epoch ms on the server's clock. */
export type Span = readonly [from: number, to: number];

/** A stretch of the session in one state. */
export interface Stretch {
  word: string;
  span: Span;
}

/** What a job does; "running" if the service does not say which stage it is in. */
export const DOINGS = ["preparing", "device", "finishing", "running"] as const;
export type Doing = (typeof DOINGS)[number];

export interface Course {
  from: number;
  to: number;
  /** The session's states, one after the other; empty if its history is not known. */
  session: readonly Stretch[];
  /** For each of `BINS` parts of the time, how many jobs did this on average. */
  jobs: Readonly<Record<Doing, readonly number[]>>;
  waiting: readonly number[];
}

/** Parts of the time for which jobs are counted together: as fine as a narrow panel can show. */
export const BINS = 160;

/** Sorted spans with touching ones merged: few remain, however many jobs there are. */
export function merge(spans: readonly Span[], gap = 0): Span[] {
  const merged: [number, number][] = [];
  for (const [from, to] of spans.filter(([a, b]) => b >= a).sort(([a], [b]) => a - b)) {
    const last = merged.at(-1);
    if (last && from <= last[1] + gap) {
      last[1] = Math.max(last[1], to);
    } else {
      merged.push([from, to]);
    }
  }
  return merged;
}

interface JobCourse {
  waits: Span | null;
  runs: Span | null;
  /** How its run splits into stages, if that is known. */
  stages: readonly (readonly [doing: Doing, span: Span])[];
}

/** When a job waited and ran; null if not known. */
export function courseOf(jobs: JobList, index: number, now: number): JobCourse {
  const { status, created, waited, ran, stages } = jobs.at(index);
  if (created === null) {
    return { waits: null, runs: null, stages: [] };
  }
  if (waited === null) {
    return { waits: status === "queued" ? [created, now] : null, runs: null, stages: [] };
  }
  const start = created + waited;
  const end = ran !== null ? start + ran : status === "running" ? now : null;
  if (end === null) {
    return { waits: [created, start], runs: null, stages: [] };
  }
  const begun = DOINGS.slice(0, 3).flatMap((doing, at): [Doing, number][] => {
    const when = stages[at] ?? null;
    return when === null ? [] : [[doing, Math.min(created + when, end)]];
  });
  return {
    waits: [created, start],
    runs: [start, end],
    stages: begun.map(([doing, from], at) => [doing, [from, begun[at + 1]?.[1] ?? end]]),
  };
}

/** The session's states as its history has them; idle is what is left of its active time. */
function sessionOf(head: Head, ran: readonly Span[], now: number): Stretch[] {
  const stamps = Array.isArray(head.details.timestamps) ? head.details.timestamps : [];
  const changes = stamps.flatMap((stamp): [string, number][] => {
    const when = epoch(stamp?.timestamp);
    return when === null ? [] : [[String(stamp.status), when]];
  });
  return changes.flatMap(([state, from], at): Stretch[] => {
    const to = changes[at + 1]?.[1] ?? now;
    const word = (busy: boolean) =>
      stateWord({ state, accepting_jobs: null, mode: head.mode }, busy);
    // If no job has times, it is unknown when the session was idle.
    if (state !== "active" || ran.length === 0) {
      return state === "closed" ? [] : [{ word: word(true), span: [from, to] }];
    }
    const parts: Stretch[] = [];
    let free = from;
    for (const [start, end] of ran) {
      if (end <= free || start >= to) {
        continue;
      }
      if (start > free) {
        parts.push({ word: word(false), span: [free, start] });
      }
      parts.push({ word: word(true), span: [Math.max(start, free), Math.min(end, to)] });
      free = Math.min(end, to);
    }
    return free < to ? [...parts, { word: word(false), span: [free, to] }] : parts;
  });
}

/** How many spans cover each part of a time, on average; takes as long as there are spans. */
export function cover(spans: readonly Span[], from: number, to: number): number[] {
  const steps = new Float64Array(BINS + 2);
  const add = (when: number, sign: number) => {
    const place = Math.min(BINS, Math.max(0, ((when - from) / (to - from)) * BINS));
    const bin = Math.floor(place);
    steps[bin] = (steps[bin] ?? 0) + sign * (bin + 1 - place);
    steps[bin + 1] = (steps[bin + 1] ?? 0) + sign * (place - bin);
  };
  for (const [start, end] of spans) {
    add(start, 1);
    add(end, -1);
  }
  let sum = 0;
  return Array.from({ length: BINS }, (_, bin) => {
    sum += steps[bin] ?? 0;
    return Math.max(0, sum);
  });
}

/** Spans closer to each other than this part of the whole cannot be distinguished. */
const FINENESS = 1 / 200;

export function timelineOf(head: Head, jobs: JobList, serverNow: number): Course | null {
  const now = epoch(head.details.closed_at) ?? serverNow;
  const waiting: Span[] = [];
  const running: Span[] = [];
  const doing: Record<Doing, Span[]> = { preparing: [], device: [], finishing: [], running: [] };
  for (let index = 0; index < jobs.count; index++) {
    const { waits, runs, stages } = courseOf(jobs, index, now);
    if (waits) {
      waiting.push(waits);
    }
    if (runs) {
      running.push(runs);
    }
    for (const [what, span] of stages) {
      doing[what].push(span);
    }
    if (runs && stages.length === 0) {
      doing.running.push(runs);
    }
  }
  const known = sessionOf(head, [], now).map(({ span }) => span);
  const all = [...waiting, ...running, ...known];
  if (all.length === 0) {
    return null;
  }
  const from = all.reduce((least, [start]) => Math.min(least, start), now);
  const to = all.reduce((most, [, end]) => Math.max(most, end), from + 1);
  const ran = merge(running, (to - from) * FINENESS);
  return {
    from,
    to,
    session: sessionOf(head, ran, now),
    jobs: {
      preparing: cover(doing.preparing, from, to),
      device: cover(doing.device, from, to),
      finishing: cover(doing.finishing, from, to),
      running: cover(doing.running, from, to),
    },
    waiting: cover(waiting, from, to),
  };
}

/** How many jobs waited and ran at a time, and the last one that ran. */
export function jobsAt(
  jobs: JobList,
  when: number,
  now: number,
): { waiting: number; running: number; id: string | null } {
  const found = { waiting: 0, running: 0, id: null as string | null };
  const holds = (span: Span | null) => span !== null && span[0] <= when && when < span[1];
  for (let index = 0; index < jobs.count; index++) {
    const { waits, runs } = courseOf(jobs, index, now);
    found.waiting += holds(waits) ? 1 : 0;
    if (holds(runs)) {
      found.running += 1;
      found.id = jobs.idAt(index);
    }
  }
  return found;
}

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400];
const MOST_TICKS = 6;

/** Round times for the axis, in epoch ms. */
export function ticksOf({ from, to }: Pick<Course, "from" | "to">): number[] {
  const step = 1000 * (STEPS_S.find((each) => (to - from) / each / 1000 <= MOST_TICKS) ?? Infinity);
  const first = Math.ceil(from / step) * step;
  const ticks: number[] = [];
  // The end has a label of its own.
  for (let at = first; at <= to - (to - from) * 0.06; at += step) {
    ticks.push(at);
  }
  return ticks;
}
