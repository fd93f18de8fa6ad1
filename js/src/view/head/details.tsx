import type { ComponentChildren } from "preact";
import type { Head, Link } from "../../contract";
import type { Counts, JobList, JobStatus } from "../state/job-list";
import { CopyButton } from "../ui/copy";
import { absolute, epoch, NONE, relative, span, thousands } from "../ui/format";
import { apiWords, jobWord, stateWord } from "../ui/words";
import { Diagram } from "./diagram";
import { cacheWords, usageOf, usageWords } from "./usage";

const COUNTED: readonly JobStatus[] = ["running", "queued", "completed", "failed", "cancelled"];

function countWords(counts: Counts): string {
  const parts = COUNTED.filter((status) => counts[status] > 0);
  return (
    parts.map((status) => `${thousands(counts[status])} ${jobWord(status)}`).join(", ") || NONE
  );
}

const LABELS: Readonly<Record<string, string>> = {
  accepting_jobs: "Accepts jobs",
  max_time: "Maximum time",
  timestamps: "History",
};
const SECONDS = /_time(out)?$/;
const TIMES = /_(at|started|completed)$/;

/** "Last job started" of `last_job_started`, "Closed" of `closed_at`. */
function labelOf(key: string): string {
  const words = key.replace(/_(at|name)$/, "").replaceAll("_", " ");
  return LABELS[key] ?? words.charAt(0).toUpperCase() + words.slice(1);
}

function Time({ value, now }: { value: string; now: number }) {
  const ms = epoch(value);
  if (ms === null) {
    return <>{value}</>;
  }
  return (
    <time dateTime={value} title={absolute(ms)}>
      {relative(ms, now)}
    </time>
  );
}

function seconds(value: number): string {
  return value < 60 ? `${value} s` : `${span(value * 1000)} (${value} s)`;
}

interface Stamp {
  status: unknown;
  timestamp: unknown;
}

function isStamp(value: unknown): value is Stamp {
  return typeof value === "object" && value !== null && "status" in value && "timestamp" in value;
}

/** A state of the history; the timeline shows what happened while it was active. */
function historyWord(status: unknown): string {
  const word = { state: String(status), accepting_jobs: null, mode: null };
  return stateWord(word, true);
}

function History({ stamps, now }: { stamps: readonly Stamp[]; now: number }) {
  return (
    <ol class="qsw-history">
      {[...stamps.entries()].map(([at, { status, timestamp }]) => (
        <li key={at}>
          <span title={String(status)}>{historyWord(status)}</span>{" "}
          <Time value={String(timestamp)} now={now} />
        </li>
      ))}
    </ol>
  );
}

function display(key: string, value: unknown, now: number): ComponentChildren {
  if (value === null || value === undefined || (Array.isArray(value) && value.length === 0)) {
    return NONE;
  }
  if (typeof value === "boolean") {
    return value ? "yes" : "no";
  }
  if (typeof value === "number" && SECONDS.test(key)) {
    return seconds(value);
  }
  if (typeof value === "string" && TIMES.test(key)) {
    return <Time value={value} now={now} />;
  }
  if (Array.isArray(value) && value.every(isStamp)) {
    return <History stamps={value} now={now} />;
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Fields that are shown elsewhere, or in another unit. */
const ELSEWHERE = new Set(["id", "mode", "usage_time", "state"]);

interface DetailsProps {
  head: Head;
  jobs: JobList;
  link: Link;
  word: string;
  serverNow: number;
}

/** All that is known of the session, with a diagram of its states. */
export function Details({ head, jobs, link, word, serverNow }: DetailsProps) {
  const usage = usageOf(head, jobs.tally, serverNow);
  const api = apiWords(head);
  const facts: [string, ComponentChildren][] = [
    ["Jobs", countWords(jobs.tally.counts)],
    ...(head.mode === null
      ? []
      : [["Mode", head.policy === "shared" ? `${head.mode}, device shared` : head.mode] as const]),
    ...(usage
      ? [["Usage", <span data-testid="qsw-usage">{usageWords(usage)}</span>] as const]
      : []),
    ...(head.cache
      ? [["Cache", <span data-testid="qsw-cache">{cacheWords(head.cache)}</span>] as const]
      : []),
    ...(api ? [["In the API", api] as const] : []),
    ...(link.error === null ? [] : [["No answer", link.error] as const]),
    ...(head.gives_way
      ? [["When idle", "gives the device up to those who wait, once its kernel is gone"] as const]
      : []),
  ].map(([name, value]) => [String(name), value]);
  const entries = Object.entries(head.details).filter(([key]) => !ELSEWHERE.has(key));
  return (
    <section class="qsw-details" data-testid="qsw-details" aria-label="Details">
      <Diagram word={word} />
      <dl class="qsw-entries">
        {head.session_id !== null && (
          <div>
            <dt>Session id</dt>
            <dd class="qsw-copied">
              <code>{head.session_id}</code>
              <CopyButton text={head.session_id} what="session id" testId="qsw-copy-id" />
            </dd>
          </div>
        )}
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
        {entries.map(([key, value]) => (
          <div key={`detail ${key}`}>
            <dt>{labelOf(key)}</dt>
            <dd>{display(key, value, serverNow)}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
