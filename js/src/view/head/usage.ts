import type { Head } from "../../contract";
import type { Tally } from "../state/job-list";
import { count, duration, resolution, span } from "../ui/format";

/** The session's usage in ms, and its parts if they are known. */
export interface Usage {
  total: number;
  parts: readonly (readonly [ms: number, what: string])[];
}

const COUNTING = new Set(["active", "pending_inactive", "pending_closed"]);

interface Total {
  /** ms */
  total: number;
  /** ms that were counted on from the service's figure. */
  since: number;
  /** Epoch ms at which the total was that. */
  now: number;
  counts: boolean;
  exact: boolean;
}

function counted(head: Head, serverNow: number): Total | null {
  const seconds = head.details.usage_time;
  if (typeof seconds !== "number") {
    return null;
  }
  // A service that sends its clock sends all times: usage can be counted on and split.
  const exact = head.mode === "dedicated" && head.details_at > 0;
  const counts = exact && COUNTING.has(head.state ?? "");
  const passed = counts ? Math.max(0, serverNow - head.details_at) : 0;
  // At the last whole second of the total: parts that stand still are then rounded alike each time.
  const early = Math.min(passed, (seconds * 1000 + passed) % 1000);
  const since = passed - early;
  return { total: seconds * 1000 + since, since, now: serverNow - early, counts, exact };
}

/** The session's usage in ms; null if it is not known. */
export function totalUsage(head: Head, serverNow: number): number | null {
  return counted(head, serverNow)?.total ?? null;
}

export function usageOf(head: Head, tally: Tally, serverNow: number): Usage | null {
  const found = counted(head, serverNow);
  if (found === null) {
    return null;
  }
  const { total, since, now, counts, exact } = found;
  if (head.usage) {
    return { total, parts: sentParts(head.usage, tally, since, counts ? now : null) };
  }
  return { total, parts: exact && tally.timed ? countedParts(total, tally, now) : [] };
}

/** The server's figures, which count only ended jobs, and the time since then. */
function sentParts(
  { on_device, preparing, idle }: NonNullable<Head["usage"]>,
  { counts, underway }: Tally,
  since: number,
  until: number | null,
): Usage["parts"] {
  const running = { onDevice: 0, preparing: 0 };
  if (until !== null) {
    for (const [prepared, began, left] of underway) {
      running.preparing += between(prepared, began ?? until);
      running.onDevice += between(began, left ?? until);
    }
  }
  const parts: (readonly [number | null, string, number])[] = [
    [on_device, "on device", running.onDevice],
    [preparing, "preparing", running.preparing],
    [idle, "idle", counts.running === 0 ? since : 0],
  ];
  return parts.flatMap(([seconds, what, more]): [number, string][] =>
    seconds === null ? [] : [[seconds * 1000 + more, what]],
  );
}

/** The ms since a moment that may be in the future. */
function between(start: number | null | undefined, end: number): number {
  return typeof start === "number" ? Math.max(0, end - start) : 0;
}

/** The jobs' own times, if the server sends no figures. */
function countedParts(total: number, tally: Tally, serverNow: number): Usage["parts"] {
  const inJobs = tally.starts.reduce(
    (sum, start) => sum + Math.max(0, serverNow - start),
    tally.ran,
  );
  // Overlapping jobs do not add up to the time that passed.
  if (inJobs > total * 1.01 + 1000) {
    return [];
  }
  const used = Math.min(inJobs, total);
  return [
    [used, "in jobs"],
    [total - used, "idle"],
  ];
}

/** The parts with the precision of the total, rounded so that they add up to it (largest remainder). */
export function usageWords({ total, parts }: Usage): string {
  if (parts.length === 0 || total < 1000) {
    return span(total);
  }
  const [unit, name] = resolution(total);
  const shown = shares(total, parts, unit)?.map(([n, what]) => {
    const length = n === 0 ? `0 ${name}` : span(n * unit);
    return `${length} ${what}`;
  });
  const words = shown ?? parts.map(([ms, what]) => `${span(ms)} ${what}`);
  return `${span(total)} (${words.join(", ")})`;
}

/** In whole units; null if the parts are more than the total, as for jobs that overlap. */
function shares(
  total: number,
  known: Usage["parts"],
  unit: number,
): (readonly [units: number, what: string])[] | null {
  const rest = known.reduce((left, [ms]) => left - ms, total);
  if (rest <= -unit) {
    return null;
  }
  const parts = rest >= unit ? [...known, [rest, "other"] as const] : known;
  const sum = parts.reduce((all, [ms]) => all + ms, 0);
  const units = Math.floor(total / unit);
  const quotas = parts.map(([ms]) => (sum ? (ms / sum) * units : 0));
  const found = quotas.map(Math.floor);
  const left = units - found.reduce((all, n) => all + n, 0);
  const remainder = (at: number) => (quotas[at] ?? 0) - (found[at] ?? 0);
  const first = [...quotas.keys()].sort((a, b) => remainder(b) - remainder(a)).slice(0, left);
  return parts.map(([, what], at) => [(found[at] ?? 0) + (first.includes(at) ? 1 : 0), what]);
}

export function cacheWords({ hits, misses, seconds_saved }: NonNullable<Head["cache"]>): string {
  return `${count(hits, "hit")}, ${misses} missed, ${duration(seconds_saved * 1000)} saved`;
}
