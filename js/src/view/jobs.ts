import type { Page, Reason } from "../contract";

export type JobStatus = "queued" | "running" | "completed" | "failed" | "cancelled" | "unknown";

const BY_CODE: readonly JobStatus[] = ["queued", "running", "completed", "failed", "cancelled"];
const RUN = 0x80;
/** More than anybody has: bounds what a wrong count can cost. */
const MOST_JOBS = 1_000_000;

export interface Job {
  /** Its place in the order in which the jobs came, from 0. */
  index: number;
  id: string;
  program: string;
  status: JobStatus;
  tags: readonly string[];
  /** Epoch ms on the server's clock. */
  created: number | null;
  /** ms from creation to start, and from start to end. */
  waited: number | null;
  ran: number | null;
  reason: string | null;
}

export type Counts = Readonly<Record<JobStatus, number>>;

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

export function isFinal(status: JobStatus): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

/** One status for each job, from bytes in which equal neighbours are a run. */
export function readStates(bytes: DataView | undefined, count: number): Uint8Array {
  const states = new Uint8Array(count).fill(0x0f);
  if (!bytes) {
    return states;
  }
  let job = 0;
  for (let at = 0; at < bytes.byteLength && job < count; ) {
    const byte = bytes.getUint8(at);
    if (byte < RUN || at + 2 >= bytes.byteLength) {
      states[job] = byte & 0x0f;
      job += 1;
      at += 1;
    } else {
      const end = Math.min(count, job + bytes.getUint16(at + 1, true));
      states.fill(byte & 0x0f, job, end);
      job = end;
      at += 3;
    }
  }
  return states;
}

/** The columns of a page with one value for each job. */
interface Columns {
  ids: readonly string[];
  programs: readonly string[];
  tags: readonly (readonly string[])[];
  created: readonly (number | null)[];
  waited: readonly (number | null)[];
  ran: readonly (number | null)[];
}

/** Pages never change, they are replaced: each is read once. */
const read = new WeakMap<Page, Columns>();

function expand<T>(runs: readonly (readonly [T, number])[] | undefined, most: number): T[] {
  return (runs ?? []).flatMap(([value, count]) =>
    new Array<T>(Math.max(0, Math.min(count, most))).fill(value),
  );
}

function columnsOf(page: Page): Columns {
  let columns = read.get(page);
  if (!columns) {
    const ids = page.ids ?? [];
    let last = 0;
    columns = {
      ids,
      programs: expand(page.programs, ids.length),
      tags: expand(page.tags, ids.length),
      created: (page.created ?? []).map((step) => {
        last += step ?? 0;
        return step === null ? null : last;
      }),
      waited: page.waited ?? [],
      ran: page.ran ?? [],
    };
    read.set(page, columns);
  }
  return columns;
}

function numberOf(value: number | null | undefined): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** All jobs of a session. They may be incomplete while messages are under way. */
export class JobList {
  readonly count: number;
  readonly #states: Uint8Array;
  readonly #pageSize: number;
  readonly #pages: readonly (Page | undefined)[];
  readonly #reasons: readonly Reason[];
  #tally: Tally | undefined;

  constructor(
    count: number,
    pageSize: number,
    pages: readonly (Page | undefined)[],
    states: DataView | undefined,
    reasons: readonly Reason[],
  ) {
    this.count = Math.min(MOST_JOBS, Math.max(0, Math.floor(count) || 0));
    this.#pageSize = Math.max(1, Math.floor(pageSize) || 1);
    this.#pages = pages;
    this.#states = readStates(states, this.count);
    this.#reasons = reasons;
  }

  statusAt(index: number): JobStatus {
    return BY_CODE[this.#states[index] ?? 0x0f] ?? "unknown";
  }

  at(index: number): Job {
    const page = this.#pages[Math.floor(index / this.#pageSize)];
    const columns = page && columnsOf(page);
    const place = index % this.#pageSize;
    return {
      index,
      id: String(columns?.ids[place] ?? ""),
      program: String(columns?.programs[place] ?? ""),
      status: this.statusAt(index),
      tags: columns?.tags[place] ?? [],
      created: numberOf(columns?.created[place]),
      waited: numberOf(columns?.waited[place]),
      ran: numberOf(columns?.ran[place]),
      reason: this.#reasonAt(index),
    };
  }

  idAt(index: number): string {
    const page = this.#pages[Math.floor(index / this.#pageSize)];
    return String((page && columnsOf(page).ids[index % this.#pageSize]) ?? "");
  }

  indexOf(id: string): number {
    for (const [number, page] of this.#pages.entries()) {
      const place = page ? columnsOf(page).ids.indexOf(id) : -1;
      if (place >= 0) {
        return number * this.#pageSize + place;
      }
    }
    return -1;
  }

  /** Its place among those of the session that wait, 1 for the next. */
  queuePosition(index: number): number {
    let position = 1;
    for (let before = 0; before < index; before++) {
      position += this.statusAt(before) === "queued" ? 1 : 0;
    }
    return position;
  }

  get tally(): Tally {
    this.#tally ??= this.#count();
    return this.#tally;
  }

  #reasonAt(index: number): string | null {
    const found = this.#reasons.find(([, first, count]) => index >= first && index < first + count);
    return found ? String(found[0]) : null;
  }

  #count(): Tally {
    const counts = { queued: 0, running: 0, completed: 0, failed: 0, cancelled: 0, unknown: 0 };
    const tally: Tally = { counts, ran: 0, starts: [], timed: true };
    for (let index = 0; index < this.count; index++) {
      const { status, created, waited, ran } = this.at(index);
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
}
