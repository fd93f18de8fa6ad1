import type { Job, JobList, JobStatus } from "../state/job-list";

export type SortKey = "program" | "status" | "created" | "waiting" | "running";

export interface Sorting {
  key: SortKey;
  descending: boolean;
}

export interface Filter {
  status: JobStatus | "all";
  text: string;
}

export const NEWEST_FIRST: Sorting = { key: "created", descending: true };
export const EVERYTHING: Filter = { status: "all", text: "" };

const STATUS_ORDER: readonly JobStatus[] = [
  "running",
  "queued",
  "unknown",
  "failed",
  "cancelled",
  "completed",
];

/** How long it waited or waits, in ms. */
export function waitingOf({ status, waited, created }: Job, serverNow: number): number | null {
  return waited ?? (status === "queued" && created !== null ? serverNow - created : null);
}

/** How long it ran or runs, in ms. */
export function runningOf({ status, ran, waited, created }: Job, serverNow: number): number | null {
  if (ran !== null || status !== "running" || created === null || waited === null) {
    return ran;
  }
  return serverNow - created - waited;
}

function sortValue(job: Job, key: SortKey, serverNow: number): number | string | null {
  switch (key) {
    case "program":
      return job.role;
    case "status":
      return STATUS_ORDER.indexOf(job.status);
    case "created":
      return job.created;
    case "waiting":
      return waitingOf(job, serverNow);
    case "running":
      return runningOf(job, serverNow);
  }
}

function matches(job: Job, text: string): boolean {
  return [job.id, job.program, job.role, job.status, job.reason ?? "", ...job.tags].some((part) =>
    String(part).toLowerCase().includes(text),
  );
}

/** Indices of the jobs to show. Unknown values come last; equals keep their order. */
export function order(
  jobs: JobList,
  { key, descending }: Sorting,
  { status, text }: Filter,
  serverNow: number,
): number[] {
  const wanted = text.trim().toLowerCase();
  const found: number[] = [];
  for (let index = 0; index < jobs.count; index++) {
    const fits = status === "all" || jobs.statusAt(index) === status;
    if (fits && (wanted === "" || matches(jobs.at(index), wanted))) {
      found.push(index);
    }
  }
  if (key === "created") {
    // Jobs arrived in this order.
    return descending ? found.reverse() : found;
  }
  const values = new Map(found.map((index) => [index, sortValue(jobs.at(index), key, serverNow)]));
  const sign = descending ? -1 : 1;
  return found.sort((a, b) => {
    const [left, right] = [values.get(a) ?? null, values.get(b) ?? null];
    if (left === right || left === null || right === null) {
      return left === right ? b - a : left === null ? 1 : -1;
    }
    return left < right ? -sign : sign;
  });
}
