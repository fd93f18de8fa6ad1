import type { Head } from "../contract";
import { span } from "./format";
import type { Tally } from "./jobs";

/** What the session has cost, in ms, and how much of it went into jobs where that is known. */
export interface Usage {
  total: number;
  inJobs: number | null;
}

const COUNTING = new Set(["active", "pending_inactive", "pending_closed"]);

export function usageOf(head: Head, tally: Tally, serverNow: number): Usage | null {
  const seconds = head.details.usage_time;
  if (typeof seconds !== "number") {
    return null;
  }
  // Who sends its clock sends all times: then usage goes on between two answers, and can be split.
  const exact = head.mode === "dedicated" && head.details_at > 0;
  const counts = exact && COUNTING.has(head.state ?? "");
  const total = seconds * 1000 + (counts ? Math.max(0, serverNow - head.details_at) : 0);
  if (!exact || !tally.timed) {
    return { total, inJobs: null };
  }
  const inJobs = tally.starts.reduce((sum, start) => sum + serverNow - start, tally.ran);
  // Jobs that overlapped do not add up to the time that passed.
  return { total, inJobs: inJobs > total * 1.01 + 1000 ? null : Math.min(inJobs, total) };
}

export function usageWords({ total, inJobs }: Usage): string {
  if (inJobs === null || total < 1000) {
    return span(total);
  }
  return `${span(total)} (${span(inJobs)} in jobs, ${span(total - inJobs)} idle)`;
}
