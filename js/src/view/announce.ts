import { useEffect, useRef, useState } from "preact/hooks";
import type { Snapshot } from "./model";

/** Nobody is interrupted more often than this. */
const QUIET_MS = 5000;

/** What is worth being told of. */
export interface News {
  status: string | null;
  trouble: string | null;
  completed: number;
  failed: number;
  cancelled: number;
}

export function newsOf({ head, jobs, link }: Snapshot, stale: boolean): News {
  const { completed, failed, cancelled } = jobs.tally.counts;
  const retrying = link.state === "retrying" ? "No answer from the service" : null;
  const trouble = stale ? "No connection" : retrying;
  return { status: head.status, trouble, completed, failed, cancelled };
}

/** What has happened in between, in few words; nothing is an empty text. */
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
    now.status !== before.status ? now.status : null,
    now.trouble !== before.trouble ? link : null,
    jobs.join(", "),
  ]
    .filter(Boolean)
    .join(". ");
}

/** What is said, and which one it is: the same words may be news again. */
export interface Announced {
  n: number;
  text: string;
}

/** The text for screen readers: what has come together since the last one, every few seconds. */
export function useAnnouncement(snapshot: Snapshot, stale: boolean): Announced {
  const news = newsOf(snapshot, stale);
  const told = useRef(news);
  const toldAt = useRef(0);
  const latest = useRef(news);
  latest.current = news;
  const [announced, setAnnounced] = useState<Announced>({ n: 0, text: news.status ?? "" });
  // What comes first is no news.
  const known = snapshot.link.state !== "connecting";
  const wasKnown = useRef(known);
  if (!wasKnown.current) {
    told.current = { ...news, status: told.current.status };
    wasKnown.current = known;
  }
  const pending = announcement(told.current, news);
  useEffect(() => {
    if (pending === "") {
      return;
    }
    const tell = () => {
      const text = announcement(told.current, latest.current);
      setAnnounced(({ n }) => ({ n: n + 1, text }));
      told.current = latest.current;
      toldAt.current = Date.now();
    };
    const rest = toldAt.current + QUIET_MS - Date.now();
    if (rest <= 0) {
      tell();
      return;
    }
    const timer = setTimeout(tell, rest);
    return () => clearTimeout(timer);
  }, [pending]);
  return announced;
}
