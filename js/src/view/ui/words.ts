import type { Head } from "../../contract";
import type { Counts, JobStatus } from "../state/job-list";

/** The words for a session's state, the same as in `qsession_widget/wire/state_words.py`. */

const WORDS: Readonly<Record<string, string>> = {
  open: "Waiting",
  pending_inactive: "Running",
  inactive: "Inactive",
  pending_closed: "Closing",
  closed: "Closed",
};

export const CLOSING = "Closing";
export const RUNNING = "Running";

type Known = Pick<Head, "state" | "accepting_jobs" | "mode">;

export function stateWord({ state, accepting_jobs, mode }: Known, busy: boolean): string {
  if (state === null) {
    return "Not known yet";
  }
  if (accepting_jobs === false && state !== "closed") {
    return CLOSING;
  }
  if (state === "active") {
    return busy ? RUNNING : mode === "batch" ? "Idle" : "Idle (paid)";
  }
  return WORDS[state] ?? state.charAt(0).toUpperCase() + state.slice(1).toLowerCase();
}

export function sessionWord(
  head: Head,
  { queued, running }: Pick<Counts, "queued" | "running">,
): string {
  return head.simulator ? "Simulator" : stateWord(head, queued + running > 0);
}

/** What the API and the client call it, for those who look for it. */
export function apiWords({ state, status }: Pick<Head, "state" | "status">): string {
  return [
    ...(state === null ? [] : [`state "${state}"`]),
    ...(status === null ? [] : [`status "${status}"`]),
  ].join(", ");
}

/** How much a state stands out. */
export type Tone = "run" | "paid" | "rest" | "over";

export function toneOf(word: string): Tone {
  if (word === RUNNING || word === "Simulator") {
    return "run";
  }
  if (word === "Idle (paid)" || word === CLOSING) {
    return "paid";
  }
  return word === "Closed" ? "over" : "rest";
}

/** The label of a job's state; unknown states are shown as they are. */
export function jobWord(status: JobStatus): string {
  return status === "completed" ? "done" : status;
}
