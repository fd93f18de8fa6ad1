import { useRef } from "preact/hooks";
import type { Snapshot } from "./model";

/** Screen readers are not interrupted more often than this. */
const QUIET_MS = 5000;

/** What is worth announcing. */
export interface News {
  /** The session's state. */
  word: string;
  trouble: string | null;
  completed: number;
  failed: number;
  cancelled: number;
}

export function newsOf({ jobs, link }: Snapshot, word: string, stale: boolean): News {
  const { completed, failed, cancelled } = jobs.tally.counts;
  const retrying = link.state === "retrying" ? "No answer from the service" : null;
  const trouble = stale ? "No connection" : retrying;
  return { word, trouble, completed, failed, cancelled };
}

/** What has happened in between, in few words; empty if nothing. */
export function announcement(before: News, now: News): string {
  const ended = [
    [now.completed - before.completed, "done"],
    [now.failed - before.failed, "failed"],
    [now.cancelled - before.cancelled, "cancelled"],
  ] as const;
  const jobs = ended
    .filter(([count]) => count > 0)
    .map(([count, how], at) =>
      at === 0 ? `${count} ${count === 1 ? "job" : "jobs"} ${how}` : `${count} ${how}`,
    );
  const link = now.trouble ?? (before.trouble ? "Connected again" : null);
  return [
    now.word !== before.word ? now.word : null,
    now.trouble !== before.trouble ? link : null,
    jobs.join(", "),
  ]
    .filter(Boolean)
    .join(". ");
}

/** The announcement and its number: the same words may be announced again. */
export interface Announced {
  n: number;
  text: string;
  /** Browser time in ms, and the state at that time. */
  at: number;
  told: News;
}

/** The next announcement: what has changed since the last one, when it is time. */
export function next(last: Announced, news: News, now: number): Announced {
  const text = announcement(last.told, news);
  return text === "" || now - last.at < QUIET_MS
    ? last
    : { n: last.n + 1, text, at: now, told: news };
}

/** The text for screen readers. The state when the panel appears is not announced. */
export function useAnnouncement(
  snapshot: Snapshot,
  word: string,
  stale: boolean,
  now: number,
): Announced {
  const news = newsOf(snapshot, word, stale);
  const known = snapshot.link.state !== "connecting";
  const last = useRef<Announced | null>(null);
  const first = { n: 0, text: news.word, at: 0, told: news };
  const said = useRef(known);
  last.current = last.current && said.current ? next(last.current, news, now) : first;
  said.current = known;
  return last.current;
}
