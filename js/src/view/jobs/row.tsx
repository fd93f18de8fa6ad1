import type { Summary } from "../../contract";
import { type Estimate, isFinal, type Job } from "../state/job-list";
import { Button } from "../ui/button";
import {
  absolute,
  ago,
  count,
  duration,
  isTime,
  measured,
  NONE,
  percent,
  span,
} from "../ui/format";
import { Icon } from "../ui/icons";
import { OWN_KEYS } from "../ui/keys";
import { jobWord } from "../ui/words";
import { runningOf, waitingOf } from "./order";

const TAIL = 6;

/** Ids of one account begin alike, so narrow panels cut the middle. Beside it stands the whole. */
function Id({ id }: { id: string }) {
  return (
    <span class="qsw-id-parts" aria-hidden="true">
      <span class="qsw-clip">{id.slice(0, -TAIL)}</span>
      <span class="qsw-clip qsw-tail">{id.slice(-TAIL)}</span>
    </span>
  );
}

function length(ms: number | null): string {
  return ms === null ? NONE : duration(ms);
}

/** The reason, without the status that is shown before it: "cancelled", "by its user." */
function continued(reason: string, status: string): string {
  return reason.toLowerCase().startsWith(`${status} `) ? reason.slice(status.length + 1) : reason;
}

const SOON_MS = 2000;

/** When it may start, from now: "≈ 12 s"; null if that time has passed. */
export function estimateWords({ starts }: Estimate, serverNow: number): string | null {
  const left = starts - serverNow;
  return left > 0 ? `≈ ${span(left)}` : left > -SOON_MS ? "soon" : null;
}

const BARS = 4;

/** A result as a small picture and a few words. */
export function SummaryView({ summary }: { summary: Summary }) {
  const [first, error] = summary;
  if (typeof first === "number") {
    return <>{measured(first, typeof error === "number" ? error : null)}</>;
  }
  const rows = summary as readonly (readonly [string, number])[];
  const words = rows.slice(0, 2).map(([bits, share]) => `${bits}: ${percent(share)}`);
  const most = Math.max(...rows.map(([, share]) => share), 1e-9);
  return (
    <span class="qsw-outcomes" title={rows.map(([bits, n]) => `${bits}: ${percent(n)}`).join("\n")}>
      <svg viewBox={`0 0 ${BARS * 5} 14`} aria-hidden="true">
        {rows.slice(0, BARS).map(([bits, share], at) => (
          <rect
            key={bits}
            x={at * 5}
            y={14 - (13 * share) / most - 1}
            width="4"
            height={(13 * share) / most + 1}
          />
        ))}
      </svg>
      <span class="qsw-clip">{words.join(" · ")}</span>
    </span>
  );
}

function Outcome({ job, open, onToggle }: Pick<RowProps, "job" | "open" | "onToggle">) {
  if (job.reason !== null) {
    return (
      <Button
        class="qsw-reason-button"
        data-testid="qsw-reason-button"
        data-ended={job.status}
        aria-expanded={open}
        aria-label={`Why: ${job.reason}`}
        title={open ? undefined : job.reason}
        onClick={onToggle}
      >
        <span class="qsw-clip">{continued(job.reason, job.status)}</span>
      </Button>
    );
  }
  if (job.summary !== null) {
    return <SummaryView summary={job.summary} />;
  }
  const pubs = job.pubs === null ? "" : `, ${count(job.pubs, "pub")}`;
  return (
    <span class="qsw-quiet">
      {job.role}
      {pubs}
    </span>
  );
}

function Created({ ms, serverNow }: { ms: number | null; serverNow: number }) {
  if (ms === null || !isTime(ms)) {
    return <>{NONE}</>;
  }
  return (
    <time dateTime={new Date(ms).toISOString()} title={absolute(ms)}>
      {ago(ms, serverNow)}
    </time>
  );
}

interface RowProps {
  job: Job;
  /** Its index in the sorted table. */
  position: number;
  /** Its place among the session's queued jobs; null if it is not queued. */
  queuePosition: number | null;
  /** Whether there are columns for selecting and cancelling. */
  cancellable: boolean;
  open: boolean;
  selected: boolean;
  disabled: boolean;
  serverNow: number;
  onToggle: () => void;
  onSelect: () => void;
  onCancel: () => void;
}

export function JobRow(props: RowProps) {
  const { job, position, queuePosition, cancellable, open, selected, disabled, serverNow } = props;
  const final = isFinal(job.status);
  const starts = job.estimate && estimateWords(job.estimate, serverNow);
  return (
    <tr
      class="qsw-row"
      aria-rowindex={position + 2}
      data-position={position}
      data-job-id={job.id}
      data-status={job.status}
      data-open={open}
    >
      {cancellable && (
        <td class="qsw-check">
          {!final && (
            <input
              type="checkbox"
              data-testid="qsw-select-job"
              aria-label={`Select job ${job.id}`}
              checked={selected}
              onChange={props.onSelect}
              {...OWN_KEYS}
            />
          )}
        </td>
      )}
      <td class="qsw-id" title={job.id}>
        <Button
          class="qsw-open"
          data-testid="qsw-open"
          aria-expanded={open}
          onClick={props.onToggle}
        >
          <Icon name="chevron" />
          <span class="qsw-visually-hidden">Job {job.id}</span>
          <Id id={job.id} />
        </Button>
      </td>
      <td class="qsw-clip qsw-wide" title={job.program}>
        {job.role}
      </td>
      <td>
        <span class="qsw-state-cell" title={`In the API: ${job.status}`}>
          <Icon name={job.status} />
          {jobWord(job.status)}
          {job.stage !== null && (
            <span class="qsw-quiet qsw-clip" data-testid="qsw-stage" title={job.stage}>
              {job.stage}
            </span>
          )}
          {queuePosition !== null && (
            <span class="qsw-quiet" title="Place among the jobs of this session that wait">
              #{queuePosition}
            </span>
          )}
          {job.estimate && starts && (
            <span
              class="qsw-quiet qsw-clip qsw-normal"
              data-testid="qsw-estimate"
              title={`Estimated start, from: ${job.estimate.basis}`}
            >
              <span class="qsw-visually-hidden">may start in </span>
              {starts}
            </span>
          )}
          {job.reason !== null && (
            <Button
              class="qsw-reason-button qsw-narrow"
              aria-expanded={open}
              aria-label={`Why: ${job.reason}`}
              onClick={props.onToggle}
            >
              why?
            </Button>
          )}
        </span>
      </td>
      <td class="qsw-clip qsw-normal" data-testid="qsw-outcome">
        <Outcome job={job} open={open} onToggle={props.onToggle} />
      </td>
      <td class="qsw-number-cell qsw-pubs qsw-wide">{job.pubs ?? NONE}</td>
      <td class="qsw-clip qsw-wide" title={job.tags.join(", ")}>
        {job.tags.join(", ")}
      </td>
      <td class="qsw-quiet qsw-middle">
        <Created ms={job.created} serverNow={serverNow} />
      </td>
      <td class="qsw-number-cell qsw-length qsw-wide">{length(waitingOf(job, serverNow))}</td>
      <td class="qsw-number-cell qsw-length">{length(runningOf(job, serverNow))}</td>
      {cancellable && (
        <td class="qsw-cancel">
          {!final && (
            <Button
              class="qsw-icon-button"
              data-testid="qsw-cancel-job"
              aria-label={`Cancel job ${job.id}`}
              title="Cancel this job"
              disabled={disabled}
              onClick={props.onCancel}
            >
              <Icon name="cross" />
            </Button>
          )}
        </td>
      )}
    </tr>
  );
}
