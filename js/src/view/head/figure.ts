import type { Head } from "../../contract";
import type { JobList } from "../state/job-list";
import { clock, duration, ordinal, span, thousands } from "../ui/format";
import { leftOf, type Nearness } from "./countdowns";
import { usageOf } from "./usage";

/** The one number that matters now. */
export interface Figure {
  value: string;
  about: string;
  nearness: Nearness;
  /** When it is over, in epoch ms; null if it does not count down. */
  ends: number | null;
}

function plain(value: string, about: string): Figure {
  return { value, about, nearness: "far", ends: null };
}

const ABOUT = {
  first_job: "for a first job",
  interactive: "until inactive",
  max: "left",
} as const;

/** How much is left of the deadline that comes next in this state. */
function left(head: Head, kinds: readonly string[], serverNow: number): Figure | null {
  const deadline = kinds.flatMap((kind) => head.countdowns.filter((each) => each.kind === kind))[0];
  if (!deadline) {
    return null;
  }
  const { left, nearness } = leftOf(deadline, serverNow);
  const about = deadline.kind === "max" ? `of ${span(deadline.total)} left` : ABOUT[deadline.kind];
  return { value: clock(left, deadline.total), about, nearness, ends: deadline.ends };
}

/** When its turn is: its place among all that wait, else the estimate. */
function turn(head: Head, jobs: JobList, serverNow: number): Figure | null {
  if (head.position !== null && head.position > 0) {
    return plain(ordinal(head.position), "in the queue");
  }
  const starts = jobs.firstQueued?.estimate?.starts;
  if (starts === undefined || starts <= serverNow) {
    return null;
  }
  return plain(`≈ ${clock(starts - serverNow, 0)}`, "until it starts");
}

export function figureOf(word: string, head: Head, jobs: JobList, serverNow: number): Figure {
  const { queued, running, completed } = jobs.tally.counts;
  const waits = queued > 0 ? turn(head, jobs, serverNow) : null;
  const none = plain("", "");
  switch (word) {
    case "Waiting":
      return (
        waits ??
        left(head, ["first_job"], serverNow) ??
        (queued > 0 ? plain(thousands(queued), queued === 1 ? "job waits" : "jobs wait") : none)
      );
    case "Inactive":
      return waits ?? left(head, ["max"], serverNow) ?? none;
    case "Closing":
      return plain(thousands(queued + running), queued + running === 1 ? "job left" : "jobs left");
    case "Closed": {
      const usage = usageOf(head, jobs.tally, serverNow);
      return usage
        ? plain(usage.total < 60_000 ? duration(usage.total) : span(usage.total), "used")
        : none;
    }
    case "Simulator":
      return plain(thousands(completed), completed === 1 ? "job done" : "jobs done");
    default:
      return left(head, word === "Running" ? ["max"] : ["interactive", "max"], serverNow) ?? none;
  }
}
