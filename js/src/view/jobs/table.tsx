import type { ComponentChildren } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Commands } from "../state/hooks";
import { isFinal, type JobList } from "../state/job-list";
import type { Peeks } from "../state/peeks";
import { Button } from "../ui/button";
import { thousands } from "../ui/format";
import { ENDS, isPlain, OWN_KEYS } from "../ui/keys";
import { Detail } from "./detail";
import { useHold } from "./hold";
import { type Filter, NEWEST_FIRST, order, type Sorting, type SortKey } from "./order";
import { JobRow } from "./row";
import { chosenOf } from "./toolbar";
import { DETAIL_HEIGHT, ROW_HEIGHT, rowTop, rowWindow, VISIBLE_ROWS } from "./window";

interface TableProps {
  jobs: JobList;
  commands: Commands;
  peeks: Peeks;
  filter: Filter;
  selected: ReadonlySet<string>;
  onSelected: (selected: ReadonlySet<string>) => void;
  /** Whether there are columns for selecting and cancelling. */
  cancellable: boolean;
  /** The id of the opened job. */
  openedId: string | null;
  onOpened: (jobId: string | null) => void;
  /** No more jobs will come. */
  over: boolean;
  disabled: boolean;
  serverNow: number;
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
      <Button
        class="qsw-sort"
        data-testid={`qsw-sort-${sortKey}`}
        onClick={() => onSort({ key: sortKey, descending })}
      >
        {children}
        {sorted && <span aria-hidden="true">{sorting.descending ? " ↓" : " ↑"}</span>}
      </Button>
    </th>
  );
}

const STEPS: Readonly<Record<string, number>> = {
  ArrowDown: 1,
  ArrowUp: -1,
  PageDown: VISIBLE_ROWS,
  PageUp: -VISIBLE_ROWS,
  ...ENDS,
};

/** Newest first, unless the user sorts. Only the visible rows are in the page. */
export function JobTable(props: TableProps) {
  const { jobs, commands, peeks, filter, selected, onSelected, openedId, onOpened } = props;
  const { cancellable, disabled, serverNow } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const detail = useRef<HTMLTableRowElement>(null);
  const [topRow, setTopRow] = useState(0);
  const [detailHeight, setDetailHeight] = useState(DETAIL_HEIGHT);
  const [sorting, setSorting] = useState(NEWEST_FIRST);
  /** Whether a row has the focus. */
  const [within, setWithin] = useState(false);
  // A table of a live session keeps its height: what stands below the panel must not move.
  const [settled] = useState(props.over);
  /** Where the focus goes when the row is drawn. */
  const wanted = useRef<{ position: number; selector: string } | null>(null);

  const live = useMemo(
    () => order(jobs, sorting, filter, serverNow),
    // Without the time: rows must not change places while their times count.
    [jobs, sorting, filter],
  );
  const reading = within || topRow > 0 || openedId !== null;
  const { ordered, fresh, touch, release } = useHold(jobs, live, filter, sorting, reading);
  useLayoutEffect(() => {
    // Another filter begins at its top.
    scroller.current?.scrollTo({ top: 0 });
  }, [filter]);
  useLayoutEffect(() => {
    const { position, selector } = wanted.current ?? {};
    const row = scroller.current?.querySelector(`[data-position="${position}"]`);
    const target = row?.querySelector<HTMLElement>(selector ?? "") ?? row?.querySelector("button");
    if (target) {
      wanted.current = null;
      target.focus({ preventScroll: true });
    }
  });
  useLayoutEffect(() => {
    const height = detail.current?.offsetHeight ?? 0;
    if (height > 0 && height !== detailHeight) {
      setDetailHeight(height);
    }
  });

  const openedIndex = openedId === null ? -1 : jobs.indexOf(openedId);
  const openedAt = openedIndex < 0 ? -1 : ordered.indexOf(openedIndex);
  const opened = openedAt < 0 ? null : openedAt;
  const { first, last, above, below } = rowWindow(ordered.length, topRow, opened, detailHeight);

  useLayoutEffect(() => {
    // Another tab may have opened a job.
    if (opened !== null) {
      scroller.current?.scrollTo({ top: rowTop(opened, null, 0) });
    }
  }, []);

  const toNewest = () => {
    release();
    onOpened(null);
    setWithin(false);
    setTopRow(0);
    scroller.current?.scrollTo({ top: 0 });
    scroller.current?.focus({ preventScroll: true });
  };
  const cancel = (jobId: string) => {
    commands.send({ do: "cancel_job", job_id: jobId });
    // The button disappears; the focus must not fall back to the notebook's cell.
    scroller.current?.focus({ preventScroll: true });
  };
  const chosen = useMemo(() => new Set(chosenOf(jobs, selected)), [jobs, selected]);
  const toggle = (jobId: string) => {
    const next = new Set(chosen);
    if (!next.delete(jobId)) {
      next.add(jobId);
    }
    onSelected(next);
  };
  const selectable = () =>
    ordered.filter((index) => !isFinal(jobs.statusAt(index))).map((index) => jobs.idAt(index));
  const onKeyDown = (event: KeyboardEvent) => {
    touch();
    const step = STEPS[event.key];
    const from = event.target as HTMLElement;
    const row = from.closest<HTMLElement>("[data-position]");
    const element = scroller.current;
    if (step === undefined || !row || !element || !isPlain(event)) {
      return;
    }
    event.preventDefault();
    const next = Number(row.dataset.position) + step;
    const position = Math.max(0, Math.min(ordered.length - 1, next));
    const top = rowTop(position, opened, detailHeight);
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
        // The key is the place: a new job changes the text of the rows, and moves none of them.
        key={position}
        job={job}
        position={position}
        queuePosition={job.status === "queued" ? jobs.queuePosition(job.index) : null}
        cancellable={cancellable}
        open={isOpen}
        selected={chosen.has(job.id)}
        disabled={disabled || commands.isPending("cancel_job", job.id)}
        serverNow={serverNow}
        onToggle={() => onOpened(isOpen ? null : job.id)}
        onSelect={() => toggle(job.id)}
        onCancel={() => cancel(job.id)}
      />,
    );
    if (isOpen) {
      rows.push(
        <tr class="qsw-detail-row" key={`detail of ${job.index}`} ref={detail}>
          {/* As many columns as every width shows; the content is as wide as the panel. */}
          <td colSpan={cancellable ? 3 : 2}>
            <Detail job={job} peeks={peeks} disabled={disabled} serverNow={serverNow} />
          </td>
          <td class="qsw-normal" />
          <td class="qsw-middle" />
          <td class="qsw-wide" />
          <td class="qsw-wide" />
          <td class="qsw-wide" />
          <td class="qsw-wide" />
          <td colSpan={cancellable ? 2 : 1} />
        </tr>,
      );
    }
  }
  const headings = { sorting, onSort: setSorting };
  const shownHeight = opened === null ? 0 : detailHeight;

  return (
    // A scrollable region must be reachable by keyboard.
    <section
      class="qsw-scroller"
      aria-label="Jobs"
      data-settled={settled}
      style={{ "--qsw-opened": `${shownHeight}px` }}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: arrow keys scroll it
      tabIndex={0}
      ref={scroller}
      onScroll={(event) => setTopRow(Math.floor(event.currentTarget.scrollTop / ROW_HEIGHT))}
      onFocusIn={(event) => setWithin((event.target as HTMLElement).closest("tbody") !== null)}
      onFocusOut={() => setWithin(false)}
      onKeyDown={onKeyDown}
      {...OWN_KEYS}
    >
      <table class="qsw-table" aria-rowcount={ordered.length + 1}>
        <thead>
          <tr aria-rowindex={1}>
            {cancellable && (
              <th scope="col" class="qsw-check">
                <input
                  type="checkbox"
                  aria-label="Select all jobs that have not ended"
                  checked={chosen.size > 0}
                  disabled={disabled}
                  onChange={() => onSelected(new Set(chosen.size > 0 ? [] : selectable()))}
                  {...OWN_KEYS}
                />
              </th>
            )}
            <th scope="col" class="qsw-job">
              Job
              {(filter.status !== "all" || filter.text.trim() !== "") && (
                <span data-testid="qsw-shown">
                  {" "}
                  · {thousands(ordered.length)} of {thousands(jobs.count)}
                </span>
              )}
              {fresh > 0 && (
                <Button class="qsw-fresh" data-testid="qsw-fresh" onClick={toNewest}>
                  {thousands(fresh)} new
                </Button>
              )}
            </th>
            <Heading sortKey="program" class="qsw-wide qsw-program" {...headings}>
              Program
            </Heading>
            <Heading sortKey="status" class="qsw-state" {...headings}>
              Status
            </Heading>
            <th scope="col" class="qsw-normal qsw-outcome">
              Result
            </th>
            <th scope="col" class="qsw-wide qsw-pubs qsw-number-cell">
              Pubs
            </th>
            <th scope="col" class="qsw-wide qsw-tags">
              Tags
            </th>
            <Heading sortKey="created" class="qsw-middle qsw-created" {...headings}>
              Created
            </Heading>
            <Heading sortKey="waiting" class="qsw-wide qsw-length qsw-number-cell" {...headings}>
              Waited
            </Heading>
            <Heading sortKey="running" class="qsw-length qsw-number-cell" {...headings}>
              Ran
            </Heading>
            {cancellable && (
              <th scope="col" class="qsw-cancel">
                <span class="qsw-visually-hidden">Cancel</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody onPointerMove={touch}>
          <Gap height={above} />
          {rows}
          <Gap height={below} />
        </tbody>
      </table>
      {ordered.length === 0 && <p class="qsw-empty">No job fits the filter.</p>}
    </section>
  );
}
