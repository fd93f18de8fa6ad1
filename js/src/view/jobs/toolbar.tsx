import { useMemo } from "preact/hooks";
import { isFinal, type JobList, type JobStatus } from "../state/job-list";
import { Button } from "../ui/button";
import type { Question } from "../ui/confirm";
import { count, thousands } from "../ui/format";
import { OWN_KEYS } from "../ui/keys";
import { jobWord } from "../ui/words";
import type { Filter } from "./order";

const STATUSES: readonly JobStatus[] = [
  "running",
  "queued",
  "completed",
  "failed",
  "cancelled",
  "unknown",
];

/** The selected jobs that can still be cancelled. */
export function chosenOf(jobs: JobList, selected: ReadonlySet<string>): string[] {
  return [...selected].filter((id) => {
    const index = jobs.indexOf(id);
    return index >= 0 && !isFinal(jobs.statusAt(index));
  });
}

interface ToolbarProps {
  jobs: JobList;
  filter: Filter;
  onFilter: (filter: Filter) => void;
  selected: ReadonlySet<string>;
  disabled: boolean;
  ask: (question: Question) => void;
}

/** Which jobs are shown; while some are selected, what can be done with them. */
export function Toolbar({ jobs, filter, onFilter, selected, disabled, ask }: ToolbarProps) {
  const { counts } = jobs.tally;
  const chosen = useMemo(() => chosenOf(jobs, selected), [jobs, selected]);
  const cancelSelected = () =>
    ask({
      command: { do: "cancel_jobs", job_ids: chosen },
      name: "Cancel selected",
      consequence: `${count(chosen.length, "job")} ${chosen.length === 1 ? "is" : "are"} cancelled, also if running; the session stays open.`,
      keep: "Keep them",
    });
  return (
    <div class="qsw-toolbar">
      {chosen.length > 0 && (
        <Button
          class="qsw-button qsw-small qsw-danger"
          data-testid="qsw-cancel-selected"
          disabled={disabled}
          onClick={cancelSelected}
        >
          Cancel selected ({thousands(chosen.length)})
        </Button>
      )}
      <input
        type="search"
        placeholder="Find"
        aria-label="Filter jobs by text"
        data-testid="qsw-filter-text"
        value={filter.text}
        onInput={(event) => onFilter({ ...filter, text: event.currentTarget.value })}
        {...OWN_KEYS}
      />
      <select
        aria-label="Jobs with status"
        data-testid="qsw-filter-status"
        value={filter.status}
        onChange={(event) =>
          onFilter({ ...filter, status: event.currentTarget.value as Filter["status"] })
        }
        {...OWN_KEYS}
      >
        <option value="all">{count(jobs.count, "job")}</option>
        {STATUSES.filter((status) => counts[status] > 0 || status === filter.status).map(
          (status) => (
            <option key={status} value={status}>
              {jobWord(status)} · {thousands(counts[status])}
            </option>
          ),
        )}
      </select>
    </div>
  );
}
