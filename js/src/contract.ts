/** What the kernel sends and what it understands. The browser never writes a trait. */

export type Mode = "dedicated" | "batch";

export interface Head {
  key: string;
  session_id: string | null;
  backend_name: string | null;
  simulator: boolean;
  mode: Mode | null;
  /** Whether it has its device to itself: "dedicated" or "shared". */
  policy: string | null;
  status: string | null;
  state: string | null;
  accepting_jobs: boolean | null;
  details: Record<string, unknown>;
  /** Epoch ms on the service's clock when it sent the details; 0 if it sends no time. */
  details_at: number;
  usage: UsageSplit | null;
  cache: Cache | null;
  countdowns: readonly Countdown[];
  why: Why | null;
}

/** Seconds until `details_at`, of jobs that had ended by then; null for what the service does not say. */
export interface UsageSplit {
  on_device: number | null;
  preparing: number | null;
  idle: number | null;
}

/** What was kept for the session, and what that has brought. */
export interface Cache {
  hits: number;
  misses: number;
  seconds_saved: number;
}

/** Why the session is as it is, and what says so. */
export interface Why {
  /** Pieces of the sentence: text, and times in epoch ms. */
  parts: readonly (string | number)[];
  fields: readonly string[];
  document: string;
}

/** A deadline that the kernel knows; the view counts. */
export interface Countdown {
  kind: "first_job" | "interactive" | "max";
  label: string;
  /** Epoch ms on the service's clock. */
  ends: number;
  /** ms */
  total: number;
}

export interface Jobs {
  count: number;
  /** How many jobs make a page. */
  page: number;
}

/** Consecutive jobs; sent again only if one of them changes. */
export interface Page {
  ids: readonly string[];
  /** Runs of a value and how many jobs in a row have it. */
  programs: readonly (readonly [string, number])[];
  tags: readonly (readonly [readonly string[], number])[];
  /** Epoch ms: the first, then differences. */
  created: readonly (number | null)[];
  /** ms from creation to start, and from start to end. */
  waited: readonly (number | null)[];
  ran: readonly (number | null)[];
  pubs: readonly (readonly [number | null, number])[];
  /** ms from creation to each of `STAGES`; no list at all if no job has any. */
  stages: readonly (StageTimes | null)[];
}

/** States of jobs; the code of each in a byte is its place here, as in `wire/states.py`. */
export const JOB_STATES = ["queued", "running", "completed", "failed", "cancelled"] as const;

/** What a running job may be doing; the code of each in a byte is its place here, from 1. */
export const STAGES = ["preparing", "on device", "post-processing"] as const;

export type Stage = (typeof STAGES)[number];
export type StageTimes = readonly (number | null)[];

/** When the first of those that wait may start, and what the service infers it from. */
export interface Estimates {
  bases: readonly string[];
  /** Its place among all jobs, epoch ms, place of its basis. */
  jobs: readonly (readonly [job: number, starts: number, basis: number])[];
}

/** A text, the first job that has it, and how many in a row have it. */
export type Reason = readonly [text: string, first: number, count: number];

export interface Beat {
  n: number;
  /** Epoch ms on the kernel's clock, when it was sent; older kernels leave it out. */
  at?: number;
  /** Epoch ms on the service's clock. */
  now: number;
  /** Seconds of the service's clock in one. */
  rate: number;
  every: number;
}

export interface Link {
  state: "connecting" | "live" | "retrying" | "ended";
  error: string | null;
  since: number;
  /** Seconds after the last beat, at which it tries again. */
  retry: number | null;
}

export interface Notice {
  n: number;
  level: "info" | "error";
  text: string;
  /** What it answers, as the button says it. */
  command: string;
}

/** The `ref` of the last commands that reached the kernel, and of those that are answered. */
export interface Commands {
  heard: readonly string[];
  done: readonly string[];
}

export interface Traits {
  head: Head;
  jobs: Jobs;
  /** Bytes: see `readStates`. */
  states: DataView;
  reasons: readonly Reason[];
  estimates: Estimates;
  [page: `page${number}`]: Page;
  beat: Beat;
  link: Link;
  notice: Notice;
  commands: Commands;
}

export const TRAITS = [
  "head",
  "jobs",
  "states",
  "reasons",
  "estimates",
  "beat",
  "link",
  "notice",
  "commands",
] as const satisfies readonly (keyof Traits)[];

export type Command =
  | { do: "close" }
  | { do: "cancel" }
  | { do: "cancel_queued" }
  | { do: "cancel_job"; job_id: string }
  | { do: "cancel_jobs"; job_ids: readonly string[] }
  | { do: "peek"; job_id: string }
  /** Somebody has the panel before their eyes. */
  | { do: "look" }
  | { do: "refresh"; all: boolean };

/** A command as it travels, with a name by which its answer is known. */
export type Message = Command & { ref: string };

/** What the kernel found when it looked into a job. */
export interface Peek {
  job_id: string;
  error?: string;
  code?: string;
  reason?: string | null;
  tags?: readonly string[];
  /** Seconds on the device. */
  usage?: number | null;
  pubs?: number | null;
  options?: readonly (readonly [string, string])[];
  /** What is left out, and why. */
  notes?: readonly string[];
  results?: readonly Result[];
}

export interface Result {
  pub: number;
  name: string;
  /** Rows that are left out. */
  more: number;
  shots?: number;
  counts?: readonly (readonly [string, number])[];
  /** Place in the array, value, standard error. */
  values?: readonly (readonly [string, number | null, number | null])[];
}

/** The part of a front-end model that every host offers and that we use. */
export interface Model {
  get<K extends keyof Traits>(name: K): Traits[K] | undefined;
  on(event: string, callback: (message: unknown) => void): void;
  off(event: string, callback: (message: unknown) => void): void;
  send(message: Message): void;
}

export const CLOSED = "Closed";
