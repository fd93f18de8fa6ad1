import { type Estimate, isFinal, type Job } from "../state/job-list";
import { duration, NONE, span } from "../ui/format";
import { Icon } from "../ui/icons";
import { OWN_KEYS } from "../ui/keys";
import { When } from "../ui/when";
import { runningOf, waitingOf } from "./order";

const TAIL = 6;

/** Ids of one account begin alike, so narrow panels cut the middle. */
function Id({ id }: { id: string }) {
  return (
    <span class="qsw-id-parts">
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

interface RowProps {
  job: Job;
  /** Its index in the sorted table. */
  position: number;
  /** Its place among the session's queued jobs; null if it is not queued. */
  queuePosition: number | null;
  open: boolean;
  selected: boolean;
  disabled: boolean;
  serverNow: number;
  onToggle: () => void;
  onSelect: () => void;
  onCancel: () => void;
}

export function JobRow(props: RowProps) {
  const { job, position, queuePosition, open, selected, disabled, serverNow } = props;
  const final = isFinal(job.status);
  const waits = job.status === "queued";
  const starts = job.estimate && estimateWords(job.estimate, serverNow);
  return (
    <tr
      class="qsw-row"
      aria-rowindex={position + 2}
      data-position={position}
      data-job-id={job.id}
      data-status={job.status}
    >
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
      <td class="qsw-id" title={job.id}>
        <button
          type="button"
          class="qsw-open"
          data-testid="qsw-open"
          aria-expanded={open}
          aria-label={`Job ${job.id}`}
          onClick={props.onToggle}
          {...OWN_KEYS}
        >
          <Icon name="chevron" />
          <Id id={job.id} />
        </button>
      </td>
      <td class="qsw-clip qsw-hidden-with-program" title={job.program}>
        {job.program}
      </td>
      <td>
        <span class="qsw-state-cell">
          <Icon name={job.status} />
          {job.status}
          {job.stage !== null && (
            <span
              class="qsw-quiet qsw-hidden-with-words qsw-clip"
              data-testid="qsw-stage"
              title={job.stage}
            >
              {job.stage}
            </span>
          )}
          {queuePosition !== null && (
            <span
              class="qsw-quiet qsw-hidden-with-words"
              title="Place among the jobs of this session that wait"
            >
              #{queuePosition}
            </span>
          )}
          {job.estimate && starts && (
            <span
              class="qsw-quiet qsw-hidden-with-words qsw-clip"
              data-testid="qsw-estimate"
              title={`Estimated start, from: ${job.estimate.basis}`}
            >
              <span class="qsw-visually-hidden">may start in </span>
              {starts}
            </span>
          )}
          {job.reason !== null && (
            <button
              type="button"
              class="qsw-reason-button"
              data-testid="qsw-reason-button"
              aria-expanded={open}
              aria-label={`Why: ${job.reason}`}
              title={open ? undefined : job.reason}
              onClick={props.onToggle}
              {...OWN_KEYS}
            >
              <span class="qsw-hidden-with-words qsw-clip">
                {continued(job.reason, job.status)}
              </span>
              <span class="qsw-short-form">why?</span>
            </button>
          )}
        </span>
      </td>
      <td class="qsw-count-cell qsw-hidden-with-created">{job.pubs ?? NONE}</td>
      <td class="qsw-clip qsw-hidden-with-tags" title={job.tags.join(", ")}>
        {job.tags.join(", ")}
      </td>
      <td class="qsw-hidden-with-created">
        <When ms={job.created} serverNow={serverNow} />
      </td>
      <td class="qsw-length qsw-hidden-with-words">{length(waitingOf(job, serverNow))}</td>
      <td class="qsw-length">
        {waits && <span class="qsw-short-form qsw-quiet">{length(waitingOf(job, serverNow))}</span>}
        <span class={waits ? "qsw-hidden-with-words" : undefined}>
          {length(runningOf(job, serverNow))}
        </span>
      </td>
      <td class="qsw-cancel">
        {!final && (
          <button
            type="button"
            class="qsw-button qsw-small"
            data-testid="qsw-cancel-job"
            aria-label={`Cancel job ${job.id}`}
            title="Cancel this job"
            disabled={disabled}
            onClick={props.onCancel}
            {...OWN_KEYS}
          >
            <span class="qsw-hidden-with-words">Cancel</span>
            <span class="qsw-short-form">
              <Icon name="cross" />
            </span>
          </button>
        )}
      </td>
    </tr>
  );
}
