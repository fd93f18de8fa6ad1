import {
  type Estimates,
  JOB_STATES,
  type Reason,
  STAGES,
  type Stage,
  type StageTimes,
  type Summary,
} from "../../contract";
import { pageOf } from "./shape";

export type JobStatus = (typeof JOB_STATES)[number] | "unknown";

const RUN = 0x80;
/** The parts of a job's byte: the code of its state, and its stage above that. */
const MEANING = 0x3f;
export const CODE = 0x0f;
export const UNKNOWN = 0x0f;
const NO_STAGES: StageTimes = [];

export interface Job {
  /** Its index in the order of arrival, from 0. */
  index: number;
  id: string;
  program: string;
  /** What it runs, in a word: for `executor`, what its quantum program stands for. */
  role: string;
  status: JobStatus;
  /** Its stage while it runs; null if not known. */
  stage: Stage | null;
  tags: readonly string[];
  /** Epoch ms on the server's clock. */
  created: number | null;
  /** ms from creation to start, and from start to end. */
  waited: number | null;
  ran: number | null;
  pubs: number | null;
  /** ms from creation to each of `STAGES`. */
  stages: StageTimes;
  summary: Summary | null;
  reason: string | null;
  estimate: Estimate | null;
}

/** When a job may start, in epoch ms on the server's clock, and the basis of that estimate. */
export interface Estimate {
  starts: number;
  basis: string;
}

export type Counts = Readonly<Record<JobStatus, number>>;

/** Figures over all jobs. */
export interface Tally {
  counts: Counts;
  /** Total ms for which finished jobs ran. */
  ran: number;
  /** Epoch ms at which running jobs started. */
  starts: number[];
  /** Epoch ms at which each running job reached each of `STAGES`. */
  underway: StageTimes[];
  /** Whether the times of all finished and running jobs are known. */
  timed: boolean;
}

export function isFinal(status: JobStatus): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

/** Decodes one byte for each job from bytes in which equal neighbours form a run. */
export function readStates(bytes: DataView | undefined, count: number): Uint8Array {
  const states = new Uint8Array(count).fill(UNKNOWN);
  if (!(bytes instanceof DataView)) {
    return states;
  }
  let job = 0;
  for (let at = 0; at < bytes.byteLength && job < count; ) {
    const byte = bytes.getUint8(at);
    if (byte < RUN || at + 2 >= bytes.byteLength) {
      states[job] = byte & MEANING;
      job += 1;
      at += 1;
    } else {
      const end = Math.min(count, job + bytes.getUint16(at + 1, true));
      states.fill(byte & MEANING, job, end);
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
  roles: readonly string[];
  tags: readonly (readonly string[])[];
  created: readonly (number | null)[];
  waited: readonly (number | null)[];
  ran: readonly (number | null)[];
  pubs: readonly (number | null)[];
  stages: readonly (StageTimes | null)[];
  results: readonly (Summary | null)[];
}

/** Pages are replaced and never change, so each is decoded once. */
const read = new WeakMap<object, Columns>();

function expand<T>(runs: readonly (readonly [T, number])[]): T[] {
  return runs.flatMap(([value, count]) => new Array<T>(count).fill(value));
}

function columnsOf(raw: unknown): Columns | null {
  if (typeof raw !== "object" || raw === null) {
    return null;
  }
  let columns = read.get(raw);
  if (!columns) {
    const page = pageOf(raw);
    let last = 0;
    columns = {
      ...page,
      programs: expand(page.programs),
      roles: expand(page.roles ?? []),
      tags: expand(page.tags),
      pubs: expand(page.pubs),
      results: page.results ?? [],
      created: page.created.map((step) => {
        last += step ?? 0;
        return step === null ? null : last;
      }),
    };
    read.set(raw, columns);
  }
  return columns;
}

/** All jobs of a session. The list may be incomplete while messages are under way. */
export class JobList {
  readonly count: number;
  readonly #states: Uint8Array;
  readonly #pageSize: number;
  readonly #pages: readonly unknown[];
  readonly #reasons: readonly Reason[];
  readonly #estimates: ReadonlyMap<number, Estimate>;
  #tally: Tally | undefined;

  constructor(
    count: number,
    pageSize: number,
    pages: readonly unknown[],
    states: DataView | undefined,
    reasons: readonly Reason[],
    estimates: Estimates,
  ) {
    this.count = count;
    this.#pageSize = pageSize;
    this.#pages = pages;
    this.#states = readStates(states, this.count);
    this.#reasons = reasons;
    this.#estimates = new Map(
      estimates.jobs.map(([job, starts, basis]) => [
        job,
        { starts, basis: estimates.bases[basis] ?? "" },
      ]),
    );
  }

  statusAt(index: number): JobStatus {
    return JOB_STATES[(this.#states[index] ?? UNKNOWN) & CODE] ?? "unknown";
  }

  /** What it does while it runs. */
  stageAt(index: number): Stage | null {
    const doing = (this.#states[index] ?? UNKNOWN) >> 4;
    return this.statusAt(index) === "running" ? (STAGES[doing - 1] ?? null) : null;
  }

  at(index: number): Job {
    const columns = columnsOf(this.#pages[Math.floor(index / this.#pageSize)]);
    const place = index % this.#pageSize;
    const program = columns?.programs[place] ?? "";
    return {
      index,
      id: columns?.ids[place] ?? "",
      program,
      role: columns?.roles[place] ?? program,
      status: this.statusAt(index),
      stage: this.stageAt(index),
      tags: columns?.tags[place] ?? [],
      created: columns?.created[place] ?? null,
      waited: columns?.waited[place] ?? null,
      ran: columns?.ran[place] ?? null,
      pubs: columns?.pubs[place] ?? null,
      stages: columns?.stages[place] ?? NO_STAGES,
      summary: columns?.results[place] ?? null,
      reason: this.#reasonAt(index),
      estimate: this.statusAt(index) === "queued" ? (this.#estimates.get(index) ?? null) : null,
    };
  }

  idAt(index: number): string {
    const columns = columnsOf(this.#pages[Math.floor(index / this.#pageSize)]);
    return columns?.ids[index % this.#pageSize] ?? "";
  }

  indexOf(id: string): number {
    for (const [number, page] of this.#pages.entries()) {
      const place = columnsOf(page)?.ids.indexOf(id) ?? -1;
      if (place >= 0) {
        return number * this.#pageSize + place;
      }
    }
    return -1;
  }

  /** Its place among the session's queued jobs, 1 for the next. */
  queuePosition(index: number): number {
    let position = 1;
    for (let before = 0; before < index; before++) {
      position += this.statusAt(before) === "queued" ? 1 : 0;
    }
    return position;
  }

  /** The session's next job; null if none is queued. */
  get firstQueued(): Job | null {
    for (let index = 0; index < this.count; index++) {
      if (this.statusAt(index) === "queued") {
        return this.at(index);
      }
    }
    return null;
  }

  get tally(): Tally {
    this.#tally ??= this.#count();
    return this.#tally;
  }

  #reasonAt(index: number): string | null {
    const found = this.#reasons.find(([, first, count]) => index >= first && index < first + count);
    return found?.[0] ?? null;
  }

  #count(): Tally {
    const counts = { queued: 0, running: 0, completed: 0, failed: 0, cancelled: 0, unknown: 0 };
    const tally: Tally = { counts, ran: 0, starts: [], underway: [], timed: true };
    for (let index = 0; index < this.count; index++) {
      const { status, created, waited, ran, stages } = this.at(index);
      counts[status] += 1;
      if (status === "running" && created !== null) {
        tally.underway.push(stages.map((when) => (when === null ? null : created + when)));
      }
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
