import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Commands } from "./hooks";
import { type Columns, jobAt } from "./jobs";
import { OWN_KEYS } from "./keys";
import { JobRow, ReasonRow } from "./row";
import { ROW_HEIGHT, rowWindow } from "./window";

interface TableProps {
  columns: Columns;
  commands: Commands;
  disabled: boolean;
  serverNow: number;
}

function Gap({ height }: { height: number }) {
  // biome-ignore lint/a11y/noAriaHiddenOnFocusable: a row cannot have the focus
  return height > 0 ? <tr aria-hidden="true" style={{ height: `${height}px` }} /> : null;
}

/** Newest first. Only the rows in view are in the page. */
export function JobTable({ columns, commands, disabled, serverNow }: TableProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [topRow, setTopRow] = useState(0);
  const [openedId, setOpenedId] = useState<string | null>(null);
  const { ids } = columns.jobs;
  const newest = ids.length - 1;

  const known = useRef(ids.length);
  useLayoutEffect(() => {
    const element = scroller.current;
    // Who has scrolled down keeps reading the same rows when new ones come in above.
    if (element && element.scrollTop > 0) {
      element.scrollTop += (ids.length - known.current) * ROW_HEIGHT;
    }
    known.current = ids.length;
  }, [ids.length]);

  const openedIndex = openedId === null ? -1 : ids.indexOf(openedId);
  const opened = openedIndex < 0 ? null : newest - openedIndex;
  const { first, last, above, below } = rowWindow(ids.length, topRow, opened);

  const cancel = (jobId: string) => {
    commands.send({ do: "cancel_job", job_id: jobId });
    // The button will go; the focus must not fall back to the notebook's cell.
    scroller.current?.focus({ preventScroll: true });
  };

  const rows = [];
  for (let position = first; position < last; position++) {
    const job = jobAt(columns, newest - position);
    const isOpen = position === opened && job.reason !== null;
    rows.push(
      <JobRow
        key={job.id}
        job={job}
        position={position}
        open={isOpen}
        disabled={disabled || commands.isPending("cancel_job", job.id)}
        serverNow={serverNow}
        onToggle={() => setOpenedId(isOpen ? null : job.id)}
        onCancel={() => cancel(job.id)}
      />,
    );
    if (isOpen) {
      rows.push(<ReasonRow key={`reason of ${job.id}`} reason={job.reason ?? ""} />);
    }
  }

  return (
    // A scrollable region must be reachable by keyboard.
    <section
      class="qsw-scroller"
      aria-label="Jobs"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: arrow keys scroll it
      tabIndex={0}
      ref={scroller}
      onScroll={(event) => setTopRow(Math.floor(event.currentTarget.scrollTop / ROW_HEIGHT))}
      {...OWN_KEYS}
    >
      <table class="qsw-table" aria-rowcount={ids.length + 1}>
        <thead>
          <tr aria-rowindex={1}>
            <th scope="col">Job</th>
            <th scope="col" class="qsw-wide qsw-program">
              Program
            </th>
            <th scope="col" class="qsw-state">
              Status
            </th>
            <th scope="col" class="qsw-wide qsw-created">
              Created
            </th>
            <th scope="col" class="qsw-duration">
              Duration
            </th>
            <th scope="col" class="qsw-cancel">
              <span class="qsw-unseen">Cancel</span>
            </th>
          </tr>
        </thead>
        <tbody>
          <Gap height={above} />
          {rows}
          <Gap height={below} />
        </tbody>
      </table>
    </section>
  );
}
