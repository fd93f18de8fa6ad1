import type { ComponentProps } from "preact";
import { kernelTime, type Pulse } from "../../clock";
import type { Head, Link } from "../../contract";
import type { JobList } from "../state/job-list";
import { Button } from "../ui/button";
import { absolute, isTime, moment, relative, span } from "../ui/format";
import { Icon } from "../ui/icons";
import { apiWords, toneOf } from "../ui/words";
import { figureOf } from "./figure";
import { Source, WhySentence } from "./why";

export function Title({ head }: { head: Head }) {
  const backend = head.backend_name ?? "no backend yet";
  return (
    <span class="qsw-title">
      <strong class="qsw-name qsw-clip" title={head.name ?? backend}>
        {head.name ?? backend}
      </strong>
      {head.name !== null && (
        <span class="qsw-quiet qsw-clip" title={backend}>
          {backend}
        </span>
      )}
    </span>
  );
}

interface PillProps {
  word: string;
  head: Head;
  stale: boolean;
}

/** The session's state in a word; the API's own words are at hover. */
export function Pill({ word, head, stale }: PillProps) {
  const api = apiWords(head);
  return (
    <span
      class="qsw-pill"
      data-testid="qsw-status"
      data-tone={stale ? "stale" : toneOf(word)}
      title={api ? `In the API: ${api}` : undefined}
    >
      <span class="qsw-clip">{word}</span>
      {stale && <span class="qsw-visually-hidden">, when last seen</span>}
    </span>
  );
}

interface FigureProps {
  word: string;
  head: Head;
  jobs: JobList;
  serverNow: number;
}

export function FigureView({ word, head, jobs, serverNow }: FigureProps) {
  const { value, about, nearness, ends } = figureOf(word, head, jobs, serverNow);
  return (
    <span
      class="qsw-figure-box"
      data-testid="qsw-figure"
      data-nearness={word.startsWith("Idle") ? "near" : nearness}
      title={ends !== null && isTime(ends) ? `Until ${absolute(ends)}` : undefined}
    >
      <strong>{value}</strong> <span>{about}</span>
    </span>
  );
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

const LINK_WORDS: Readonly<Record<Link["state"], string>> = {
  connecting: "connecting",
  live: "live",
  retrying: "retrying",
  ended: "final state",
};

/** The state of the connection, in few words. */
export function linkWords(
  link: Link,
  pulse: Pulse,
  stale: boolean,
  saved: boolean,
  now: number,
): string {
  if (saved && stale && pulse.seen !== null) {
    return `saved as of ${moment(pulse.seen, now)}`;
  }
  if (stale) {
    return `${silence(pulse)}: ${lastSeen(pulse, now)}`;
  }
  if (link.state === "retrying" && link.cure !== null) {
    return "offline";
  }
  if (link.state === "live" && pulse.asked) {
    return `as of ${moment(pulse.seen ?? now, now)}`;
  }
  return LINK_WORDS[link.state === "live" && !pulse.heard ? "connecting" : link.state];
}

interface SentenceProps {
  head: Head;
  link: Link;
  pulse: Pulse;
  stale: boolean;
  saved: boolean;
  now: number;
  serverNow: number;
}

function Trouble({ link, pulse, now }: Pick<SentenceProps, "link" | "pulse" | "now">) {
  const age = now - pulse.from;
  const left = link.retry === null ? null : Math.max(0, link.retry * 1000 - age);
  const error = link.error ?? "the reason is not known";
  const next = left === null ? "" : ` Next try ${left > 0 ? `in ${span(left + 999)}` : "now"}.`;
  const words =
    link.cure ?? `No answer since ${relative(link.since, kernelTime(pulse, now))}: ${error}`;
  return (
    <span data-testid="qsw-link-error" title={error}>
      {words}
      {link.cure === null && <span class="qsw-quiet">{next}</span>}
    </span>
  );
}

/** One line: what is wrong with the connection, else why the session is in its state. */
export function Sentence(props: SentenceProps) {
  const { head, link, pulse, stale, saved, now, serverNow } = props;
  const quiet = !stale && !pulse.asked && (link.state === "live" || link.state === "ended");
  const words = linkWords(link, pulse, stale, saved, now);
  const seen =
    pulse.seen !== null && isTime(pulse.seen) ? `Last seen ${absolute(pulse.seen)}` : undefined;
  return (
    <div class="qsw-sentence">
      <div class="qsw-said">
        <span
          class={quiet ? "qsw-visually-hidden" : "qsw-link"}
          data-testid="qsw-link"
          data-link={stale ? "stale" : link.state}
          title={seen}
        >
          {!quiet && (
            <Icon
              name={stale && !saved ? "offline" : link.state === "retrying" ? "retrying" : "queued"}
            />
          )}
          {words}
        </span>
        {link.state === "retrying" && !stale ? (
          <p class="qsw-why">
            <Trouble link={link} pulse={pulse} now={now} />
          </p>
        ) : (
          head.why && <WhySentence why={head.why} serverNow={serverNow} />
        )}
      </div>
      {quiet && head.why && <Source why={head.why} />}
    </div>
  );
}

interface PrimaryProps extends ComponentProps<"button"> {
  /** It fixes what is wrong. */
  loud?: boolean;
}

/** The one action that is most likely wanted now, always in the same place. */
export function Primary({ loud, ...rest }: PrimaryProps) {
  return <Button class={`qsw-button qsw-main-action${loud ? " qsw-primary" : ""}`} {...rest} />;
}
