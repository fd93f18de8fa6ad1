import type { Pulse } from "../../clock";
import { CLOSED, type Head, type Link } from "../../contract";
import type { Counts, JobStatus, Tally } from "../state/job-list";
import { CopyButton } from "../ui/copy";
import { absolute, isTime, moment, relative } from "../ui/format";
import { Icon, type IconName } from "../ui/icons";
import { cacheWords, usageOf, usageWords } from "./usage";

const STATUS_ICONS: Readonly<Record<string, IconName>> = {
  Pending: "queued",
  "In progress, accepting new jobs": "accepting",
  "In progress, not accepting new jobs": "draining",
  [CLOSED]: "closed",
};

export function Status({ head }: { head: Head }) {
  const icon = head.simulator ? "simulator" : (STATUS_ICONS[head.status ?? ""] ?? "unknown");
  const words = head.simulator ? "simulator: no session" : (head.status ?? "status not known yet");
  return (
    <span class="qsw-status" data-testid="qsw-status" title={words}>
      <Icon name={icon} />
      <span class="qsw-clip">{words}</span>
    </span>
  );
}

const LINK_WORDS: Readonly<Record<Link["state"], string>> = {
  connecting: "connecting",
  live: "live",
  retrying: "retrying",
  ended: "final state",
};
const LINK_ICONS: Readonly<Record<Link["state"], IconName>> = {
  connecting: "queued",
  live: "live",
  retrying: "retrying",
  ended: "completed",
};

interface LinkProps {
  link: Link;
  pulse: Pulse;
  stale: boolean;
  now: number;
}

/** Why no updates come, as far as the browser can tell. */
function silence(pulse: Pulse): string {
  if (!navigator.onLine) {
    return "browser offline";
  }
  if (pulse.lost) {
    return "kernel gone";
  }
  return pulse.asked ? "no live updates" : "no connection";
}

const AGO_MS = 60_000;

/** The age of the state; an old one, as in a saved notebook, is shown with its time. */
function lastSeen({ seen }: Pulse, now: number): string {
  if (seen === null) {
    return "nothing seen yet";
  }
  return now - seen < AGO_MS ? `last seen ${relative(seen, now)}` : `as of ${moment(seen, now)}`;
}

export function LinkBadge({ link, pulse, stale, now }: LinkProps) {
  const asked = pulse.asked && pulse.seen !== null && link.state === "live";
  const words = asked ? `as of ${moment(pulse.seen ?? now, now)}` : LINK_WORDS[link.state];
  return (
    <span
      class="qsw-link"
      data-testid="qsw-link"
      data-link={stale ? "stale" : link.state}
      title={
        pulse.seen !== null && isTime(pulse.seen) ? `Last seen ${absolute(pulse.seen)}` : undefined
      }
    >
      <Icon name={stale ? "offline" : asked ? "queued" : LINK_ICONS[link.state]} />
      {stale ? `${silence(pulse)}: ${lastSeen(pulse, now)}` : words}
    </span>
  );
}

const COUNTED: readonly JobStatus[] = ["running", "queued", "completed", "failed", "cancelled"];

function countWords(counts: Counts): string {
  const parts = COUNTED.filter((status) => counts[status] > 0);
  return parts.map((status) => `${counts[status]} ${status}`).join(", ");
}

interface FactsProps {
  head: Head;
  tally: Tally;
  serverNow: number;
  /** Seconds of the service's clock in one. */
  rate: number;
}

/** Shown for a service whose clock does not run in real time. */
function clockWords(rate: number, serverNow: number): string {
  const goes = rate === 0 ? "moved by hand" : `${rate} times as fast`;
  return isTime(serverNow) ? `${absolute(serverNow)}, ${goes}` : goes;
}

export function Facts({ head, tally, serverNow, rate }: FactsProps) {
  const usage = usageOf(head, tally, serverNow);
  const jobs = countWords(tally.counts);
  if (head.session_id === null && head.mode === null && !jobs) {
    return null;
  }
  return (
    <dl class="qsw-facts">
      {head.session_id !== null && (
        <div>
          <dt>Session</dt>
          <dd>
            <code class="qsw-clip" title={head.session_id}>
              {head.session_id}
            </code>
            <CopyButton text={head.session_id} what="session id" testId="qsw-copy" />
          </dd>
        </div>
      )}
      {head.mode !== null && (
        <div>
          <dt>Mode</dt>
          <dd>{head.policy === "shared" ? `${head.mode}, device shared` : head.mode}</dd>
        </div>
      )}
      {usage && (
        <div>
          <dt>Usage</dt>
          <dd data-testid="qsw-usage">{usageWords(usage)}</dd>
        </div>
      )}
      {head.cache && (
        <div>
          <dt>Cache</dt>
          <dd data-testid="qsw-cache">{cacheWords(head.cache)}</dd>
        </div>
      )}
      {rate !== 1 && (
        <div>
          <dt>Clock</dt>
          <dd data-testid="qsw-clock">{clockWords(rate, serverNow)}</dd>
        </div>
      )}
      {jobs && (
        <div>
          <dt>Jobs</dt>
          <dd>{jobs}</dd>
        </div>
      )}
    </dl>
  );
}
