/** What the kernel sends and what it understands. The browser never writes a trait. */

export type Mode = "dedicated" | "batch";

export interface Head {
  key: string;
  session_id: string | null;
  backend_name: string | null;
  simulator: boolean;
  mode: Mode | null;
  status: string | null;
  state: string | null;
  accepting_jobs: boolean | null;
  details: Record<string, unknown>;
  /** Epoch ms on the service's clock when it sent the details; 0 if it sends no time. */
  details_at: number;
  countdowns: readonly Countdown[];
  why: Why | null;
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
  ids: string[];
  programs: string[];
  created: number[];
}

export interface Beat {
  n: number;
  now: number;
  /** Seconds of the service's clock in one. */
  rate: number;
  every: number;
}

export interface Link {
  state: "connecting" | "live" | "retrying" | "ended";
  error: string | null;
  since: number;
}

export interface Notice {
  n: number;
  level: "info" | "error";
  text: string;
}

export interface Traits {
  head: Head;
  jobs: Jobs;
  states: DataView;
  times: DataView;
  reasons: Record<string, string>;
  beat: Beat;
  link: Link;
  notice: Notice;
}

export const TRAITS = [
  "head",
  "jobs",
  "states",
  "times",
  "reasons",
  "beat",
  "link",
  "notice",
] as const satisfies readonly (keyof Traits)[];

export type Command =
  | { do: "close" }
  | { do: "cancel" }
  | { do: "cancel_queued" }
  | { do: "cancel_job"; job_id: string }
  | { do: "refresh" };

/** The part of a front-end model that every host offers and that we use. */
export interface Model {
  get<K extends keyof Traits>(name: K): Traits[K] | undefined;
  on(event: string, callback: () => void): void;
  off(event: string, callback: () => void): void;
  send(message: Command): void;
}

export const CLOSED = "Closed";
