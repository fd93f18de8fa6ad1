import type { Head } from "../../contract";
import type { JobList } from "../state/job-list";
import { epoch } from "../ui/format";

/** From and to, in epoch ms on the server's clock. */
export type Span = readonly [from: number, to: number];

export type LaneName =
  | "waiting"
  | "preparing"
  | "device"
  | "finishing"
  | "running"
  | "idle"
  | "inactive";

export interface Lane {
  name: LaneName;
  label: string;
  spans: readonly Span[];
}

export interface Course {
  from: number;
  to: number;
  /** Only those with known times. */
  lanes: readonly Lane[];
}

const LABELS: Readonly<Record<LaneName, string>> = {
  waiting: "In the queue",
  preparing: "Preparing",
  device: "On the device",
  finishing: "Post-processing",
  running: "Jobs run",
  idle: "Idle, paid",
  inactive: "Inactive",
};
/** Spans closer to each other than this part of the whole cannot be distinguished. */
const FINENESS = 1 / 500;

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

/** The parts of some spans that others do not cover; both are merged. */
export function without(spans: readonly Span[], others: readonly Span[]): Span[] {
  return spans.flatMap(([from, to]) => {
    const left: Span[] = [];
    let at = from;
    for (const [start, end] of others) {
      if (end > at && start < to) {
        if (start > at) {
          left.push([at, start]);
        }
        at = Math.max(at, end);
      }
    }
    return at < to ? [...left, [at, to] as const] : left;
  });
}

const STAGE_LANES = ["preparing", "device", "finishing"] as const;

interface JobCourse {
  waits: Span | null;
  runs: Span | null;
  /** How its run splits into stages, if that is known. */
  stages: readonly (readonly [lane: LaneName, span: Span])[];
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
  const begun = STAGE_LANES.flatMap((lane, at): [LaneName, number][] => {
    const when = stages[at] ?? null;
    return when === null ? [] : [[lane, Math.min(created + when, end)]];
  });
  return {
    waits: [created, start],
    runs: [start, end],
    stages: begun.map(([lane, from], at) => [lane, [from, begun[at + 1]?.[1] ?? end]]),
  };
}

/** Spans in which the session was in one of some states, from its history. */
function spansOf(head: Head, states: readonly string[], now: number): Span[] {
  const stamps = Array.isArray(head.details.timestamps) ? head.details.timestamps : [];
  const changes = stamps.flatMap((stamp): [string, number][] => {
    const when = epoch(stamp?.timestamp);
    return when === null ? [] : [[String(stamp.status), when]];
  });
  return changes.flatMap(([state, from], at): Span[] =>
    states.includes(state) ? [[from, changes[at + 1]?.[1] ?? now]] : [],
  );
}

export function timelineOf(head: Head, jobs: JobList, serverNow: number): Course | null {
  const now = epoch(head.details.closed_at) ?? serverNow;
  const waiting: Span[] = [];
  const running: Span[] = [];
  const found: Record<LaneName, Span[]> = {
    waiting,
    preparing: [],
    device: [],
    finishing: [],
    running: [],
    idle: [],
    inactive: spansOf(head, ["inactive"], now),
  };
  for (let index = 0; index < jobs.count; index++) {
    const { waits, runs, stages } = courseOf(jobs, index, now);
    if (waits) {
      waiting.push(waits);
    }
    if (runs) {
      running.push(runs);
    }
    for (const [lane, span] of stages) {
      found[lane].push(span);
    }
    // A job with known stages is drawn in the lanes of the stages.
    if (runs && stages.length === 0) {
      found.running.push(runs);
    }
  }
  const active = spansOf(head, ["active", "pending_inactive", "pending_closed"], now);
  const ran = merge(running);
  // If no job has times, it is unknown when the session was idle.
  found.idle = head.mode === "dedicated" && ran.length > 0 ? without(merge(active), ran) : [];
  const all = Object.values(found).flat();
  if (all.length === 0) {
    return null;
  }
  const from = all.reduce((least, [start]) => Math.min(least, start), now);
  const to = all.reduce((most, [, end]) => Math.max(most, end), from + 1);
  const lanes = (Object.keys(LABELS) as LaneName[]).flatMap((name): Lane[] =>
    found[name].length === 0
      ? []
      : [{ name, label: LABELS[name], spans: merge(found[name], (to - from) * FINENESS) }],
  );
  return { from, to, lanes };
}

/** How many jobs waited and ran at a time. */
export function countsAt(jobs: JobList, when: number, now: number): [number, number] {
  const counts: [number, number] = [0, 0];
  const holds = (span: Span | null) => span !== null && span[0] <= when && when < span[1];
  for (let index = 0; index < jobs.count; index++) {
    const { waits, runs } = courseOf(jobs, index, now);
    counts[0] += holds(waits) ? 1 : 0;
    counts[1] += holds(runs) ? 1 : 0;
  }
  return counts;
}
