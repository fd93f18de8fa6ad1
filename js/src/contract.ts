/** The messages between kernel and browser. The browser never writes a trait. */

export type Mode = "dedicated" | "batch";

export interface Head {
  key: string;
  session_id: string | null;
  backend_name: string | null;
  simulator: boolean;
  mode: Mode | null;
  /** Whether it reserves its backend: "dedicated" or "shared". */
  policy: string | null;
  status: string | null;
  state: string | null;
  accepting_jobs: boolean | null;
  details: Record<string, unknown>;
  /** A name by which people recognise it. */
  name: string | null;
  /** Of the notebook's cell that opened it; null if it was opened elsewhere, left out by older kernels. */
  cell_id?: string | null;
  /** The session that has the device for which this one waits. */
  holder: Holder | null;
  /** Whether an idle session whose kernel is gone gives the device up to those who wait. */
  gives_way: boolean;
  /** How many jobs its user expects. */
  total: number | null;
  /** Whether its kernel closed or cancelled it; left out by older kernels. */
  ended_here?: boolean;
  /** The place of its next job among all that wait for the device; 1 is the next to start. */
  position: number | null;
  /** Epoch ms on the service's clock when it sent the details; 0 if it sends no time. */
  details_at: number;
  usage: UsageSplit | null;
  cache: Cache | null;
  countdowns: readonly Countdown[];
  why: Why | null;
}

/** Of the sessions of others only `until` is known. */
export interface Holder {
  mine: boolean;
  session_id: string | null;
  name: string | null;
  /** Where it was opened, such as "vqe.ipynb". */
  place: string | null;
  /** It runs no job. */
  idle: boolean;
  /** Epoch ms on the service's clock when it gives the device up by itself; 0 if not known. */
  until: number;
  kernel_gone: boolean;
}

/** Seconds of jobs that had ended by `details_at`; null for what the service does not send. */
export interface UsageSplit {
  on_device: number | null;
  preparing: number | null;
  idle: number | null;
}

/** How well the service's caches worked for the session. */
export interface Cache {
  hits: number;
  misses: number;
  seconds_saved: number;
}

/** The explanation of the session's state, and its sources. */
export interface Why {
  /** Parts of the sentence: text, and times in epoch ms. */
  parts: readonly (string | number)[];
  fields: readonly string[];
  document: string;
}

/** A deadline that the kernel knows; the view counts down. */
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
  /** Number of jobs in a page. */
  page: number;
}

/** Consecutive jobs; sent again only if one of them changes. */
export interface Page {
  ids: readonly string[];
  /** Runs: a value, and how many consecutive jobs have it. */
  programs: readonly (readonly [string, number])[];
  /** Words for the programs; left out by older kernels, empty where they are the names. */
  roles?: readonly (readonly [string, number])[];
  tags: readonly (readonly [readonly string[], number])[];
  /** Epoch ms: the first, then differences. */
  created: readonly (number | null)[];
  /** ms from creation to start, and from start to end. */
  waited: readonly (number | null)[];
  ran: readonly (number | null)[];
  pubs: readonly (readonly [number | null, number])[];
  /** ms from creation to each of `STAGES`; empty if no job has any. */
  stages: readonly (StageTimes | null)[];
  /** Left out by older kernels; empty if no result of the page is known. */
  results?: readonly (Summary | null)[];
}

/**
 * A result in few characters: the first value and its standard error, or the most frequent
 * outcomes, each with its share from 0 to 1.
 */
export type Summary =
  | readonly [value: number, error: number | null]
  | readonly (readonly [bits: string, share: number])[];

/** States of jobs; the code of each in a byte is its place here, as in `wire/states.py`. */
export const JOB_STATES = ["queued", "running", "completed", "failed", "cancelled"] as const;

/** The stages of a running job; the code of each in a byte is its place here, from 1. */
export const STAGES = ["preparing", "on device", "post-processing"] as const;

export type Stage = (typeof STAGES)[number];
export type StageTimes = readonly (number | null)[];

/** When the first queued jobs may start, and on what the service bases that. */
export interface Estimates {
  bases: readonly string[];
  /** Index among all jobs, epoch ms, index of the basis. */
  jobs: readonly (readonly [job: number, starts: number, basis: number])[];
}

/** A text, the first job that has it, and how many consecutive jobs have it. */
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
  /** Seconds from the last beat to the next attempt. */
  retry: number | null;
  /** What the user can do; null if nothing is known to help. */
  cure: string | null;
  /** The service is a local runtime that the kernel can start. */
  startable: boolean;
}

export interface Notice {
  n: number;
  level: "info" | "error";
  text: string;
  /** The command that it answers, as its button names it. */
  command: string;
}

/** The `ref` of the last commands that reached the kernel, and of those that were answered. */
export interface Commands {
  heard: readonly string[];
  done: readonly string[];
  /** What is being carried out, sent by any browser; older kernels leave it out. */
  active?: readonly Active[];
}

/** A command, with the job that it concerns, if it is one. */
export type Active = readonly [kind: string, jobId: string | null];

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
  /** Another session of the same user, which has the device. */
  | { do: "close_other"; session_id: string }
  /** The local runtime, which was stopped. */
  | { do: "start" }
  /** A virtual clock. */
  | { do: "advance"; seconds: number }
  /** A front end has loaded the panel; the kernel answers at once, in every host. */
  | { do: "here" }
  /** The user is looking at the panel. */
  | { do: "look" }
  | { do: "refresh"; all: boolean };

/** A command as it is sent, with a name that identifies its answer. */
export type Message = Command & { ref: string };

/** This page keeps the panel that it has drawn when the kernel renews its output. */
export type Offer = { do: "renew" };

/** The kernel's preview of a job. */
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
  /** Of the first pub; null if it is large or not known. */
  circuit?: Circuit | null;
}

export interface Circuit {
  name: string;
  qubits: number;
  depth: number;
  /** How many gates act on two qubits or more. */
  two_qubit: number;
  /** As text; null if it is large. */
  drawing: string | null;
}

export interface Result {
  pub: number;
  name: string;
  /** Rows that are left out. */
  more: number;
  shots?: number;
  counts?: readonly (readonly [string, number])[];
  /** Index in the array, value, standard error. */
  values?: readonly (readonly [string, number | null, number | null])[];
}

/** The part of a front-end model that every host offers and that we use. */
export interface Model {
  get<K extends keyof Traits>(name: K): Traits[K] | undefined;
  on(event: string, callback: (message: unknown) => void): void;
  off(event: string, callback: (message: unknown) => void): void;
  send(message: Message | Offer): void;
}

export const CLOSED = "Closed";
