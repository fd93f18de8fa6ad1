import type { Counts, JobStatus } from "../state/job-list";
import { count } from "../ui/format";
import { OWN_KEYS } from "../ui/keys";
import type { Filter } from "./order";

const STATUSES: readonly JobStatus[] = [
  "running",
  "queued",
  "completed",
  "failed",
  "cancelled",
  "unknown",
];

interface ToolbarProps {
  counts: Counts;
  total: number;
  shown: number;
  filter: Filter;
  onFilter: (filter: Filter) => void;
  selected: number;
  disabled: boolean;
  onCancel: () => void;
}

export function Toolbar(props: ToolbarProps) {
  const { counts, total, shown, filter, onFilter, selected, disabled, onCancel } = props;
  return (
    <div class="qsw-toolbar">
      <select
        aria-label="Jobs with status"
        data-testid="qsw-filter-status"
        value={filter.status}
        onChange={(event) =>
          onFilter({ ...filter, status: event.currentTarget.value as Filter["status"] })
        }
        {...OWN_KEYS}
      >
        <option value="all">all jobs</option>
        {STATUSES.filter((status) => counts[status] > 0 || status === filter.status).map(
          (status) => (
            <option key={status} value={status}>
              {status} ({counts[status]})
            </option>
          ),
        )}
      </select>
      <input
        type="search"
        placeholder="Filter"
        aria-label="Filter jobs by text"
        data-testid="qsw-filter-text"
        value={filter.text}
        onInput={(event) => onFilter({ ...filter, text: event.currentTarget.value })}
        {...OWN_KEYS}
      />
      <span class="qsw-quiet" data-testid="qsw-shown">
        {shown === total ? count(total, "job") : `${shown} of ${count(total, "job")}`}
      </span>
      <button
        type="button"
        class="qsw-button qsw-small qsw-selected"
        data-testid="qsw-cancel-selected"
        disabled={disabled || selected === 0}
        onClick={onCancel}
        {...OWN_KEYS}
      >
        Cancel selected{selected > 0 ? ` (${selected})` : ""}
      </button>
    </div>
  );
}
