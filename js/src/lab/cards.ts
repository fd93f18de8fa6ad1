import type { Countdown, Head } from "../contract";
import type { Entry } from "../registry";
import { leftOf, type Nearness } from "../view/head/countdowns";
import { totalUsage } from "../view/head/usage";
import { sessionWord, stateWord, type Tone, toneOf } from "../view/ui/words";
import type { Card, Runtime } from "./server";
import { type PageSession, pendingOf, titleOf } from "./sessions";

/** Where the kernel of a session is. */
export type Where =
  /** In this page, and heard. */
  | "here"
  /** In this page, and silent. */
  | "silent"
  /** It runs, and no notebook of this page shows the session. */
  | "elsewhere"
  | "gone"
  | "unknown";

/** A session as the side panel and the status bar show it. */
export interface SessionCard {
  /** The session's id; a simulator, which has none, has the key of its panel. */
  id: string;
  sessionId: string | null;
  title: string;
  /** null if it is the title. */
  backend: string | null;
  word: string;
  tone: Tone;
  countdown: Shortest | null;
  queued: number;
  running: number;
  finished: number;
  /** Of those, how many failed or were cancelled; the server does not tell. */
  spoilt: number;
  /** How many jobs its user expects. */
  expected: number | null;
  /** ms */
  usage: number | null;
  /** The name of the notebook or script that opened it. */
  place: string | null;
  /** Of its notebook in this Jupyter server. */
  path: string | null;
  where: Where;
  /** Its panel in this page. */
  entry: Entry | null;
  /** The Jupyter server can act on it: it is one of the local runtime. */
  served: boolean;
  accepting: boolean;
}

/** The deadline that comes first. */
export interface Shortest {
  label: string;
  /** ms */
  left: number;
  total: number;
  nearness: Nearness;
}

export const IDLE_PAID = "Idle (paid)";
export const SILENT = "No connection";

export function shortest(countdowns: readonly Countdown[], serverNow: number): Shortest | null {
  const [first] = [...countdowns].sort((one, other) => one.ends - other.ends);
  if (!first) {
    return null;
  }
  const { left, nearness } = leftOf(first, serverNow);
  return { label: first.label, left, total: first.total, nearness };
}

export function pageCard({ entry, head, jobs, live, now }: PageSession): SessionCard {
  const { queued, running, spoilt } = pendingOf(jobs);
  const word = live ? sessionWord(head, { queued, running }) : SILENT;
  return {
    ...common(head),
    id: head.session_id ?? head.key,
    sessionId: head.session_id,
    word,
    tone: live ? toneOf(word) : "rest",
    countdown: live ? shortest(head.countdowns, now) : null,
    queued,
    running,
    finished: jobs.count - queued - running,
    spoilt,
    expected: head.total,
    usage: totalUsage(head, now),
    place: null,
    path: null,
    where: live ? "here" : "silent",
    entry,
    served: false,
    accepting: head.accepting_jobs !== false,
  };
}

/** A session whose panel the page has lost, as it was last seen. */
export function lostCard(session: PageSession): SessionCard {
  return { ...pageCard({ ...session, live: false }), word: "Not known", entry: null };
}

export function serverCard(card: Card, runtime: Runtime, since: number): SessionCard {
  const { queued, running, finished, place } = card;
  const word = card.simulator ? "Simulator" : stateWord(card, queued + running > 0);
  const where: Where = card.kernel === "alive" ? "elsewhere" : card.kernel;
  return {
    ...common(card),
    id: card.session_id,
    sessionId: card.session_id,
    word,
    tone: toneOf(word),
    countdown: shortest(card.countdowns, runtime.now + since * runtime.rate),
    queued,
    running,
    finished,
    spoilt: 0,
    expected: null,
    usage: card.usage_seconds === null ? null : card.usage_seconds * 1000,
    place,
    path: null,
    where,
    entry: null,
    served: true,
    accepting: card.accepting_jobs !== false && card.state !== "closed",
  };
}

function common(head: Pick<Head, "name" | "backend_name">): {
  title: string;
  backend: string | null;
} {
  return { title: titleOf(head), backend: head.name === null ? null : head.backend_name };
}
