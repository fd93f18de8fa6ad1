import type { Command, Message } from "../../contract";
import type { Snapshot } from "./model";

/** An idle kernel has received a command by then; a busy one may have to finish its cell. */
const UNHEARD_MS = 3000;

/** A command that was sent, and the state that its answer will change. */
export interface Sent {
  message: Message;
  /** The number of the kernel's last beat. */
  beat: number;
  /** Browser time in ms. */
  at: number;
  before: string;
}

function outlook(command: Command, { head, jobs }: Snapshot): string {
  const subject =
    command.do === "cancel_job"
      ? jobs.statusAt(jobs.indexOf(command.job_id))
      : [head.status, head.state, head.accepting_jobs, jobs.tally.counts.queued === 0];
  return JSON.stringify(subject);
}

/** Returns a name for a command. */
export function named(command: Command): Message {
  return { ...command, ref: Math.random().toString(36).slice(2, 12) };
}

export function sent(command: Command, snapshot: Snapshot, beat: number, at: number): Sent {
  return { message: named(command), beat, at, before: outlook(command, snapshot) };
}

/** Whether there is an answer, or the wanted state is reached. */
export function isAnswered({ message, before }: Sent, snapshot: Snapshot): boolean {
  const { ref, do: kind } = message;
  if (kind === "peek" || kind === "refresh") {
    return snapshot.commands.heard.includes(ref);
  }
  return snapshot.commands.done.includes(ref) || outlook(message, snapshot) !== before;
}

/**
 * Whether it waits for the running cell: the kernel's thread has made a whole round since it was
 * sent, and would have reported it.
 */
export function isUnheard(
  { message, beat, at }: Sent,
  { commands, link }: Snapshot,
  lastBeat: number,
  now: number,
): boolean {
  const late = lastBeat >= beat + 2 && now - at > UNHEARD_MS;
  return late && link.state === "live" && !commands.heard.includes(message.ref);
}

/** The job that a command concerns, if it is one. */
export function jobOf(command: Command): string | null {
  return "job_id" in command ? command.job_id : null;
}

/** The command, as its button names it. */
export function nameOf(command: Command): string {
  return [NAMES[command.do], jobOf(command)].join(" ").trim();
}

const NAMES: Readonly<Record<Command["do"], string>> = {
  close: "Close session",
  cancel: "Cancel session",
  cancel_queued: "Cancel queued",
  cancel_job: "Cancel job",
  cancel_jobs: "Cancel selected",
  close_other: "Close the other session",
  start: "Start",
  advance: "Advance the clock",
  peek: "Open job",
  here: "Here",
  look: "Look",
  refresh: "Refresh",
};
