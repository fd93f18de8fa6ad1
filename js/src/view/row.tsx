import { duration, NONE } from "./format";
import { Icon } from "./icons";
import { isFinal, type Job } from "./jobs";
import { OWN_KEYS } from "./keys";
import { When } from "./when";

/** How long the job ran, runs or waits. */
export function durationOf(job: Job, serverNow: number): string {
  if (job.ran !== null) {
    return duration(job.ran);
  }
  if (job.status === "running" && job.created !== null && job.waited !== null) {
    return duration(serverNow - job.created - job.waited);
  }
  if (job.status === "queued" && job.created !== null) {
    return duration(serverNow - job.created);
  }
  return NONE;
}

const TAIL = 6;

/** Ids of one account begin alike: where room is short, the middle goes. */
function Id({ id }: { id: string }) {
  return (
    <span class="qsw-id-parts">
      <span class="qsw-clip">{id.slice(0, -TAIL)}</span>
      <span class="qsw-clip qsw-tail">{id.slice(-TAIL)}</span>
    </span>
  );
}

function Reason({ job, open, onToggle }: { job: Job; open: boolean; onToggle: () => void }) {
  if (job.reason === null) {
    return null;
  }
  return (
    <button
      type="button"
      class="qsw-reason-button"
      data-testid="qsw-reason-button"
      aria-expanded={open}
      aria-label={`Why: ${job.reason}`}
      title={open ? undefined : job.reason}
      onClick={onToggle}
      {...OWN_KEYS}
    >
      <Icon name="chevron" />
      <span class="qsw-wide qsw-clip">{job.reason}</span>
    </button>
  );
}

interface RowProps {
  job: Job;
  /** 0 is the newest. */
  position: number;
  open: boolean;
  disabled: boolean;
  serverNow: number;
  onToggle: () => void;
  onCancel: () => void;
}

export function JobRow({ job, position, open, disabled, serverNow, onToggle, onCancel }: RowProps) {
  return (
    <tr class="qsw-row" aria-rowindex={position + 2} data-job-id={job.id} data-status={job.status}>
      <td class="qsw-id" title={job.id}>
        <Id id={job.id} />
      </td>
      <td class="qsw-clip qsw-wide" title={job.program}>
        {job.program}
      </td>
      <td>
        <span class="qsw-state-cell">
          <Icon name={job.status} />
          {job.status}
          <Reason job={job} open={open} onToggle={onToggle} />
        </span>
      </td>
      <td class="qsw-wide">
        <When ms={job.created} serverNow={serverNow} />
      </td>
      <td class="qsw-duration">
        {job.status === "queued" && <span class="qsw-wide">waiting </span>}
        {durationOf(job, serverNow)}
      </td>
      <td class="qsw-cancel">
        {!isFinal(job.status) && (
          <button
            type="button"
            class="qsw-button qsw-small"
            data-testid="qsw-cancel-job"
            aria-label={`Cancel job ${job.id}`}
            title="Cancel this job"
            disabled={disabled}
            onClick={onCancel}
            {...OWN_KEYS}
          >
            <span class="qsw-wide">Cancel</span>
            <span class="qsw-narrow">
              <Icon name="cross" />
            </span>
          </button>
        )}
      </td>
    </tr>
  );
}

export function ReasonRow({ reason }: { reason: string }) {
  return (
    <tr class="qsw-reason-row">
      <td colSpan={4}>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a long reason is scrolled by keys */}
        <section class="qsw-reason" aria-label="Reason" tabIndex={0} {...OWN_KEYS}>
          {reason}
        </section>
      </td>
      {/* Its columns go where room is short; one cell across all would keep them. */}
      <td class="qsw-wide" colSpan={2} />
    </tr>
  );
}
