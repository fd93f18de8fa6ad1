import type { JobList } from "../state/job-list";

/** How many of the last jobs a curve shows, and a pace is measured with. */
const CURVE = 200;
const PACE = 64;
/** A pace says nothing about now if the last job ended longer ago than this many jobs take. */
const QUIET_JOBS = 20;

export interface Value {
  value: number;
  error: number | null;
}

/** The values of the last jobs that gave one, oldest first. */
export function curveOf(jobs: JobList): Value[] {
  const found: Value[] = [];
  for (let index = jobs.count - 1; index >= Math.max(0, jobs.count - 2 * CURVE); index--) {
    const { status, summary } = jobs.at(index);
    const [value, error] = summary ?? [];
    if (status === "completed" && typeof value === "number" && found.length < CURVE) {
      found.push({ value, error: typeof error === "number" ? error : null });
    }
  }
  return found.reverse();
}

/** When the last jobs ended, oldest first, in epoch ms on the server's clock. */
function endsOf(jobs: JobList): number[] {
  const ends: number[] = [];
  for (let index = jobs.count - 1; index >= 0 && ends.length < PACE; index--) {
    const { created, waited, ran } = jobs.at(index);
    if (created !== null && waited !== null && ran !== null) {
      ends.push(created + waited + ran);
    }
    if (jobs.count - index > 4 * PACE) {
      break;
    }
  }
  return ends.sort((a, b) => a - b);
}

/** Jobs a second, measured over the last ones; null if that is not known or no longer true. */
export function paceOf(jobs: JobList, serverNow: number): number | null {
  const ends = endsOf(jobs);
  const [first, last] = [ends[0], ends.at(-1)];
  if (first === undefined || last === undefined || ends.length < 3 || last <= first) {
    return null;
  }
  const each = (last - first) / (ends.length - 1);
  const quiet = serverNow - last;
  return quiet > QUIET_JOBS * each + 2000 ? null : 1000 / each;
}
