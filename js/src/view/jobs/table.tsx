import type { ComponentChildren } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Commands } from "../state/hooks";
import { isFinal, type JobList } from "../state/job-list";
import type { Peeks } from "../state/peeks";
import type { Question } from "../ui/confirm";
import { count } from "../ui/format";
import { OWN_KEYS } from "../ui/keys";
import { Detail } from "./detail";
import { EVERYTHING, type Filter, NEWEST_FIRST, order, type Sorting, type SortKey } from "./order";
import { JobRow } from "./row";
import { Toolbar } from "./toolbar";
import { ROW_HEIGHT, rowTop, rowWindow, VISIBLE_ROWS } from "./window";

interface TableProps {
  jobs: JobList;
  commands: Commands;
  peeks: Peeks;
  disabled: boolean;
  serverNow: number;
  ask: (question: Question) => void;
}

function Gap({ height }: { height: number }) {
  // biome-ignore lint/a11y/noAriaHiddenOnFocusable: a row cannot have the focus
  return height > 0 ? <tr aria-hidden="true" style={{ height: `${height}px` }} /> : null;
}

interface HeadingProps {
  sortKey: SortKey;
  class: string;
  sorting: Sorting;
  onSort: (sorting: Sorting) => void;
  children: ComponentChildren;
}

function Heading({ sortKey, sorting, onSort, children, ...rest }: HeadingProps) {
  const sorted = sorting.key === sortKey;
  const descending = sorted ? !sorting.descending : sortKey !== "program" && sortKey !== "status";
  return (
    <th
      scope="col"
      class={rest.class}
      aria-sort={sorted ? (sorting.descending ? "descending" : "ascending") : undefined}
    >
      <button
        type="button"
        class="qsw-sort"
        onClick={() => onSort({ key: sortKey, descending })}
        {...OWN_KEYS}
      >
        {children}
        {sorted && <span aria-hidden="true">{sorting.descending ? " ↓" : " ↑"}</span>}
      </button>
    </th>
  );
}

const STEPS: Readonly<Record<string, number>> = {
  ArrowDown: 1,
  ArrowUp: -1,
  PageDown: VISIBLE_ROWS,
  PageUp: -VISIBLE_ROWS,
  Home: Number.NEGATIVE_INFINITY,
  End: Number.POSITIVE_INFINITY,
};

/** Newest first, unless the user sorts. Only the visible rows are in the page. */
export function JobTable({ jobs, commands, peeks, disabled, serverNow, ask }: TableProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [topRow, setTopRow] = useState(0);
  const [openedId, setOpenedId] = useState<string | null>(null);
  const [sorting, setSorting] = useState(NEWEST_FIRST);
  const [filter, setFilter] = useState<Filter>(EVERYTHING);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  /** Where the focus goes when the row is drawn. */
  const wanted = useRef<{ position: number; selector: string } | null>(null);

  const ordered = useMemo(
    () => order(jobs, sorting, filter, serverNow),
    // Without the time: rows must not change places while their times count.
    [jobs, sorting, filter],
  );
  const chosen = useMemo(
    () =>
      [...selected].filter((id) => {
        const index = jobs.indexOf(id);
        return index >= 0 && !isFinal(jobs.statusAt(index));
      }),
    [jobs, selected],
  );
  const known = useRef(ordered.length);
  useLayoutEffect(() => {
    const element = scroller.current;
    // A user who has scrolled down keeps the same rows when new ones come in above.
    if (element && element.scrollTop > 0 && sorting === NEWEST_FIRST) {
      element.scrollTop += (ordered.length - known.current) * ROW_HEIGHT;
    }
    known.current = ordered.length;
  }, [ordered.length]);
  useLayoutEffect(() => {
    const { position, selector } = wanted.current ?? {};
    const row = scroller.current?.querySelector(`[data-position="${position}"]`);
    const target = row?.querySelector<HTMLElement>(selector ?? "") ?? row?.querySelector("button");
    if (target) {
      wanted.current = null;
      target.focus({ preventScroll: true });
    }
  });

  const openedIndex = openedId === null ? -1 : jobs.indexOf(openedId);
  const openedAt = openedIndex < 0 ? -1 : ordered.indexOf(openedIndex);
  const opened = openedAt < 0 ? null : openedAt;
  const { first, last, above, below } = rowWindow(ordered.length, topRow, opened);

  const toTop = () => {
    if (scroller.current) {
      scroller.current.scrollTop = 0;
    }
    known.current = 0;
  };
  const cancel = (jobId: string) => {
    commands.send({ do: "cancel_job", job_id: jobId });
    // The button disappears; the focus must not fall back to the notebook's cell.
    scroller.current?.focus({ preventScroll: true });
  };
  const toggle = (jobId: string) => {
    const next = new Set(chosen);
    if (!next.delete(jobId)) {
      next.add(jobId);
    }
    setSelected(next);
  };
  const selectable = () =>
    ordered.filter((index) => !isFinal(jobs.statusAt(index))).map((index) => jobs.idAt(index));
  const cancelSelected = () =>
    ask({
      command: { do: "cancel_jobs", job_ids: chosen },
      name: "Cancel selected",
      consequence: `${count(chosen.length, "job")} ${chosen.length === 1 ? "is" : "are"} cancelled, also if running; the session stays open.`,
      keep: "Keep them",
    });
  const onKeyDown = (event: KeyboardEvent) => {
    const step = STEPS[event.key];
    const from = event.target as HTMLElement;
    const row = from.closest<HTMLElement>("[data-position]");
    const element = scroller.current;
    if (step === undefined || !row || !element || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    event.preventDefault();
    const next = Number(row.dataset.position) + step;
    const position = Math.max(0, Math.min(ordered.length - 1, next));
    const top = rowTop(position, opened);
    const room = element.clientHeight - ROW_HEIGHT;
    if (top < element.scrollTop) {
      element.scrollTop = top;
    } else if (top + ROW_HEIGHT > element.scrollTop + room) {
      element.scrollTop = top + ROW_HEIGHT - room;
    }
    wanted.current = { position, selector: `[data-testid="${from.dataset.testid}"]` };
    setTopRow(Math.floor(element.scrollTop / ROW_HEIGHT));
    // If the row is in the page already, nothing is drawn again.
    element
      .querySelector<HTMLElement>(`[data-position="${position}"] ${wanted.current.selector}`)
      ?.focus({ preventScroll: true });
  };

  const rows = [];
  for (let position = first; position < last; position++) {
    const job = jobs.at(ordered[position] ?? -1);
    const isOpen = position === opened;
    rows.push(
      <JobRow
        key={job.index}
        job={job}
        position={position}
        queuePosition={job.status === "queued" ? jobs.queuePosition(job.index) : null}
        open={isOpen}
        selected={chosen.includes(job.id)}
        disabled={disabled || commands.isPending("cancel_job", job.id)}
        serverNow={serverNow}
        onToggle={() => setOpenedId(isOpen ? null : job.id)}
        onSelect={() => toggle(job.id)}
        onCancel={() => cancel(job.id)}
      />,
    );
    if (isOpen) {
      rows.push(
        <tr class="qsw-detail-row" key={`detail of ${job.index}`}>
          <td colSpan={5}>
            <Detail job={job} peeks={peeks} disabled={disabled} serverNow={serverNow} />
          </td>
          {/* Narrow panels hide these columns; one cell across all would keep them. */}
          <td class="qsw-hidden-with-words" />
          <td class="qsw-hidden-with-program" />
          <td class="qsw-hidden-with-created" />
          <td class="qsw-hidden-with-created" />
          <td class="qsw-hidden-with-tags" />
        </tr>,
      );
    }
  }
  const headings = { sorting, onSort: setSorting };

  return (
    <>
      <Toolbar
        counts={jobs.tally.counts}
        total={jobs.count}
        shown={ordered.length}
        filter={filter}
        onFilter={(next) => {
          setFilter(next);
          toTop();
        }}
        selected={chosen.length}
        disabled={disabled || commands.isPending("cancel_jobs")}
        onCancel={cancelSelected}
      />
      {/* A scrollable region must be reachable by keyboard. */}
      <section
        class="qsw-scroller"
        aria-label="Jobs"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: arrow keys scroll it
        tabIndex={0}
        ref={scroller}
        onScroll={(event) => setTopRow(Math.floor(event.currentTarget.scrollTop / ROW_HEIGHT))}
        onKeyDown={onKeyDown}
        {...OWN_KEYS}
      >
        <table class="qsw-table" aria-rowcount={ordered.length + 1}>
          <thead>
            <tr aria-rowindex={1}>
              <th scope="col" class="qsw-check">
                <input
                  type="checkbox"
                  aria-label="Select all jobs that have not ended"
                  checked={chosen.length > 0}
                  disabled={disabled}
                  onChange={() => setSelected(new Set(chosen.length > 0 ? [] : selectable()))}
                  {...OWN_KEYS}
                />
              </th>
              <th scope="col" class="qsw-job">
                Job
              </th>
              <Heading sortKey="program" class="qsw-hidden-with-program qsw-program" {...headings}>
                Program
              </Heading>
              <Heading sortKey="status" class="qsw-state" {...headings}>
                Status
              </Heading>
              <th scope="col" class="qsw-hidden-with-created qsw-count-cell">
                Pubs
              </th>
              <th scope="col" class="qsw-hidden-with-tags qsw-tags">
                Tags
              </th>
              <Heading sortKey="created" class="qsw-hidden-with-created qsw-created" {...headings}>
                Created
              </Heading>
              <Heading sortKey="waiting" class="qsw-hidden-with-words qsw-length" {...headings}>
                Waiting
              </Heading>
              <Heading sortKey="running" class="qsw-length" {...headings}>
                Running
              </Heading>
              <th scope="col" class="qsw-cancel">
                <span class="qsw-visually-hidden">Cancel</span>
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
    </>
  );
}
