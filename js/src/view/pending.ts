import type { Command } from "../contract";
import type { Snapshot } from "./model";

/** A command on its way, and how the things looked that its answer will change. */
export interface Sent {
  command: Command;
  before: string;
}

function outlook(command: Command, { head, jobs, notice }: Snapshot): string {
  const subject =
    command.do === "cancel_job"
      ? jobs.statusAt(jobs.indexOf(command.job_id))
      : [head.status, head.state, head.accepting_jobs, jobs.tally.counts.queued === 0];
  return JSON.stringify([notice.n, subject]);
}

export function sent(command: Command, snapshot: Snapshot): Sent {
  return { command, before: outlook(command, snapshot) };
}

/** A notice answers every command: it does not say which one it is about. */
export function isAnswered({ command, before }: Sent, snapshot: Snapshot): boolean {
  return outlook(command, snapshot) !== before;
}
