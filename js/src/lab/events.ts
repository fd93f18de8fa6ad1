import type { Why } from "../contract";
import type { JobList } from "../view/state/job-list";
import { type PageSession, titleOf } from "./sessions";

/** The kinds of notices; each is a setting of the plugin. */
export const KINDS = ["active", "inactive", "endsSoon", "jobFailed", "closed"] as const;

export type Kind = (typeof KINDS)[number];

export interface SessionEvent {
  kind: Kind;
  /** The session's id, or its key where it has none. */
  id: string;
  text: string;
}

/** A user who sends a job that starts at once need not be told that the session is active. */
const WAITED_MS = 10_000;
const MINUTE_MS = 60_000;

interface Seen {
  state: string;
  jobs: JobList | null;
  failed: Set<string>;
  /** Browser time in ms since which a job has waited for the session to become active. */
  waitsSince: number | null;
  warned: boolean;
}

/** Finds what happens to sessions, by the rules of `session.on` (`monitoring/events.py`). */
export class Events {
  readonly #seen = new Map<string, Seen>();

  /**
   * Returns what has happened since the last call. What a session is when it is first seen has
   * happened before, and what the user does to it is no event.
   */
  found(
    sessions: readonly PageSession[],
    minutes: number,
    closedHere: ReadonlySet<string>,
    now: number,
  ): SessionEvent[] {
    return sessions.flatMap((session) => {
      const { head, live } = session;
      const id = head.session_id ?? head.key;
      // Saved notebooks and dead kernels show old states.
      if (head.state === null || !(live || head.state === "closed")) {
        return [];
      }
      const seen = this.#seen.get(id);
      const left = timeLeft(session);
      const near = left !== null && left <= minutes * MINUTE_MS && head.state !== "closed";
      if (!seen) {
        const first = { state: head.state, waitsSince: null, warned: near };
        const failed = new Set(failedIn(session.jobs));
        this.#seen.set(id, { ...first, jobs: session.jobs, failed });
        return [];
      }
      const ours = head.ended_here === true || closedHere.has(id);
      const texts: [Kind, string | null][] = [
        [head.state === "inactive" ? "inactive" : "active", this.#entered(seen, session, now)],
        ["endsSoon", near && !seen.warned ? endText(session, left) : null],
        ["jobFailed", failText(seen, session)],
        ["closed", ours ? null : closeText(seen, session)],
      ];
      seen.state = head.state;
      seen.warned ||= near;
      return texts.flatMap(([kind, text]) => (text === null ? [] : [{ kind, id, text }]));
    });
  }

  #entered(seen: Seen, { head, jobs }: PageSession, now: number): string | null {
    const { state, why } = head;
    const waited = seen.waitsSince === null ? 0 : now - seen.waitsSince;
    if (state === "active" || state === "closed") {
      seen.waitsSince = null;
    } else if (seen.waitsSince === null && waits(jobs)) {
      seen.waitsSince = now;
    }
    if (state === seen.state) {
      return null;
    }
    if (state === "inactive") {
      return `${titleOf(head)} is inactive.${because(why)}`;
    }
    return state === "active" && waited >= WAITED_MS ? `${titleOf(head)} is active.` : null;
  }
}

function waits(jobs: JobList): boolean {
  for (let index = 0; index < jobs.count; index++) {
    if (jobs.statusAt(index) === "queued") {
      return true;
    }
  }
  return false;
}

function timeLeft({ head, now }: PageSession): number | null {
  const ends = head.countdowns.find(({ kind }) => kind === "max")?.ends;
  return ends === undefined ? null : ends - now;
}

function endText({ head }: PageSession, left: number | null): string {
  const minutes = Math.max(1, Math.round((left ?? 0) / MINUTE_MS));
  return `${titleOf(head)} ends in ${minutes} min at the latest.`;
}

function closeText({ state }: Seen, { head }: PageSession): string | null {
  const closed = head.state === "closed" && state !== "closed";
  return closed ? `${titleOf(head)} is closed.${because(head.why)}` : null;
}

function failedIn(jobs: JobList): string[] {
  const failed: string[] = [];
  for (let index = 0; index < jobs.count; index++) {
    if (jobs.statusAt(index) === "failed") {
      failed.push(jobs.idAt(index));
    }
  }
  return failed;
}

function failText(seen: Seen, { head, jobs }: PageSession): string | null {
  if (jobs === seen.jobs) {
    return null;
  }
  seen.jobs = jobs;
  const fresh = failedIn(jobs).filter((id) => !seen.failed.has(id));
  for (const id of fresh) {
    seen.failed.add(id);
  }
  if (fresh.length === 0) {
    return null;
  }
  if (fresh.length > 1) {
    return `${fresh.length} jobs of ${titleOf(head)} failed.`;
  }
  const [id = ""] = fresh;
  const { reason } = jobs.at(jobs.indexOf(id));
  return `Job ${id} of ${titleOf(head)} failed${reason ? `: ${reason}` : "."}`;
}

/** The panel's sentence, with times as the user's clock shows them. */
function because(why: Why | null): string {
  const parts = why?.parts.map((part) =>
    typeof part === "number" ? new Date(part).toLocaleTimeString() : part,
  );
  return parts ? ` ${parts.join("")}` : "";
}
