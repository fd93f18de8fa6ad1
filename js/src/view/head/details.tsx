import type { ComponentChildren } from "preact";
import { absolute, epoch, NONE, relative, span } from "../ui/format";
import { Icon } from "../ui/icons";
import { OWN_KEYS } from "../ui/keys";

const LABELS: Readonly<Record<string, string>> = {
  id: "Session id",
  backend_name: "Backend",
  interactive_timeout: "Interactive timeout",
  max_time: "Maximum time",
  active_timeout: "Active timeout",
  state: "State",
  accepting_jobs: "Accepts jobs",
  last_job_started: "Last job started",
  last_job_completed: "Last job completed",
  started_at: "Started",
  closed_at: "Closed",
  activated_at: "Activated",
  mode: "Mode",
  usage_time: "Usage",
  timestamps: "History",
};
const SECONDS = new Set(["interactive_timeout", "max_time", "active_timeout", "usage_time"]);
const TIMES = new Set([
  "last_job_started",
  "last_job_completed",
  "started_at",
  "closed_at",
  "activated_at",
]);

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

function History({ stamps, now }: { stamps: readonly Stamp[]; now: number }) {
  return (
    <ol class="qsw-history">
      {[...stamps.entries()].map(([at, { status, timestamp }]) => (
        <li key={at}>
          {String(status)} <Time value={String(timestamp)} now={now} />
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
  if (typeof value === "number" && SECONDS.has(key)) {
    return seconds(value);
  }
  if (typeof value === "string" && TIMES.has(key)) {
    return <Time value={value} now={now} />;
  }
  if (Array.isArray(value) && value.every(isStamp)) {
    return <History stamps={value} now={now} />;
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

interface DetailsProps {
  details: Readonly<Record<string, unknown>>;
  serverNow: number;
}

export function Details({ details, serverNow }: DetailsProps) {
  const entries = Object.entries(details);
  if (entries.length === 0) {
    return null;
  }
  return (
    <details class="qsw-details" data-testid="qsw-details">
      <summary {...OWN_KEYS}>
        <Icon name="chevron" />
        Details
      </summary>
      <dl class="qsw-entries">
        {entries.map(([key, value]) => (
          <div key={key}>
            <dt>{LABELS[key] ?? key}</dt>
            <dd>{display(key, value, serverNow)}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
