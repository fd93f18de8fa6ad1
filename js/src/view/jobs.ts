import type { Jobs, Traits } from "../contract";

export type JobStatus = "queued" | "running" | "completed" | "failed" | "cancelled" | "unknown";

const BY_CODE: readonly JobStatus[] = ["queued", "running", "completed", "failed", "cancelled"];
const UNKNOWN_TIME = 0xffffffff;
const TIMES_BYTES = 8;

export interface Job {
  id: string;
  program: string;
  status: JobStatus;
  /** Epoch ms on the server's clock. */
  created: number | null;
  /** ms from creation to start, and from start to end. */
  waited: number | null;
  ran: number | null;
  reason: string | null;
}

export type Counts = Readonly<Record<JobStatus, number>>;

/** The columns as they came. They may disagree in length while messages are under way. */
export interface Columns {
  jobs: Jobs;
  states: DataView | undefined;
  times: DataView | undefined;
  reasons: Traits["reasons"];
}

export function statusAt(states: DataView | undefined, index: number): JobStatus {
  if (!states || index < 0 || index >= states.byteLength) {
    return "unknown";
  }
  return BY_CODE[states.getUint8(index) & 0x0f] ?? "unknown";
}

function timeAt(times: DataView | undefined, byte: number): number | null {
  if (!times || byte + 4 > times.byteLength) {
    return null;
  }
  const ms = times.getUint32(byte, true);
  return ms === UNKNOWN_TIME ? null : ms;
}

export function jobAt(columns: Columns, index: number): Job {
  const { jobs, states, times, reasons } = columns;
  const id = jobs.ids[index] ?? "";
  return {
    id,
    program: jobs.programs[index] ?? "",
    status: statusAt(states, index),
    created: jobs.created[index] || null,
    waited: timeAt(times, index * TIMES_BYTES),
    ran: timeAt(times, index * TIMES_BYTES + 4),
    reason: Object.hasOwn(reasons, id) ? (reasons[id] ?? null) : null,
  };
}

/** What is counted over all jobs. */
export interface Tally {
  counts: Counts;
  /** ms that the jobs which have ended ran. */
  ran: number;
  /** Epoch ms at which those that run began. */
  starts: number[];
  /** Whether the times of all that ran or run are known. */
  timed: boolean;
}

export function tallyOf(columns: Columns): Tally {
  const counts = { queued: 0, running: 0, completed: 0, failed: 0, cancelled: 0, unknown: 0 };
  const tally: Tally = { counts, ran: 0, starts: [], timed: true };
  for (let i = 0; i < columns.jobs.ids.length; i++) {
    const { status, created, waited, ran } = jobAt(columns, i);
    counts[status] += 1;
    if (ran !== null) {
      tally.ran += ran;
    } else if (status === "running" && created !== null && waited !== null) {
      tally.starts.push(created + waited);
    } else if (status === "completed" || status === "running") {
      tally.timed = false;
    }
  }
  return tally;
}

export function isFinal(status: JobStatus): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}
