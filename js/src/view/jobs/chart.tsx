import { useMemo, useState } from "preact/hooks";
import type { Head } from "../../contract";
import type { JobList } from "../state/job-list";
import { count, moment, span } from "../ui/format";
import { ENDS, isPlain, OWN_KEYS } from "../ui/keys";
import { BINS, type Course, DOINGS, type Doing, jobsAt, ticksOf, timelineOf } from "./timeline";

const STEPS: Readonly<Record<string, number>> = {
  ArrowLeft: -1,
  ArrowRight: 1,
  PageDown: -10,
  PageUp: 10,
  ...ENDS,
};
const MOST = 100;
const NAMES: Readonly<Record<Doing, string>> = {
  preparing: "preparing",
  device: "on device",
  finishing: "post-processing",
  running: "running",
};

function classOf(word: string): string {
  return `qsw-span-${word.replace(/\W.*/, "").toLowerCase()}`;
}

function SessionLane({ course: { session, from, to } }: { course: Course }) {
  const x = (when: number) => (BINS * (when - from)) / (to - from);
  return (
    <svg viewBox={`0 0 ${BINS} 1`} preserveAspectRatio="none" aria-hidden="true">
      {[...session.entries()].map(
        ([
          at,
          {
            word,
            span: [start, end],
          },
        ]) => (
          <rect
            key={at}
            class={classOf(word)}
            x={x(start)}
            // Short ones stay visible.
            width={Math.max(0.25, x(end) - x(start))}
            height="1"
          />
        ),
      )}
    </svg>
  );
}

/** Bars on top of each other, one for each part of the time; one path for each layer. */
function Bars({
  layers,
}: {
  layers: readonly (readonly [name: string, values: readonly number[]])[];
}) {
  const below = new Float64Array(BINS);
  const sums = Array.from({ length: BINS }, (_, bin) =>
    layers.reduce((sum, [, values]) => sum + (values[bin] ?? 0), 0),
  );
  const most = Math.max(1, ...sums);
  return (
    <svg viewBox={`0 0 ${BINS} 100`} preserveAspectRatio="none" aria-hidden="true">
      {layers.map(([name, values]) => {
        let path = "";
        values.forEach((value, bin) => {
          const height = (100 * value) / most;
          if (height > 0.5) {
            path += `M${bin} ${(100 - (below[bin] ?? 0)).toFixed(1)}h1v${(-height).toFixed(1)}h-1z`;
          }
          below[bin] = (below[bin] ?? 0) + height;
        });
        return path && <path key={name} class={`qsw-span-${name}`} d={path} />;
      })}
    </svg>
  );
}

/** Where the label of a tick would run into that of the end, if the panel is narrow. */
const LATE = 0.68;
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

interface ChartProps {
  head: Head;
  jobs: JobList;
  serverNow: number;
  /** Opens a job in the table. */
  onOpen: (jobId: string) => void;
}

/** The course of the session: its states, what its jobs did, and how many waited. */
export function Timeline({ head, jobs, serverNow, onOpen }: ChartProps) {
  const second = Math.floor(serverNow / 1000) * 1000;
  const course = useMemo(() => timelineOf(head, jobs, second), [head.details, jobs, second]);
  const [cursor, setCursor] = useState<number | null>(null);
  if (!course) {
    return <p class="qsw-timeline qsw-quiet">The service has not said when anything happened.</p>;
  }
  const { from, to, session } = course;
  const at = cursor ?? MOST;
  const when = from + ((to - from) * at) / MOST;
  const place = (time: number) => ({ left: `${(100 * (time - from)) / (to - from)}%` });
  const { waiting, running, id } = jobsAt(jobs, when === to ? to - 1 : when, to);
  const state = session.findLast(({ span: [start] }) => start <= when)?.word;
  const words = [
    moment(when, serverNow),
    ...(state ? [state] : []),
    `${count(waiting, "job")} waiting, ${running} running`,
    ...(id === null ? [] : [`job …${id.slice(-6)}`]),
  ].join(" · ");
  const onKeyDown = (event: KeyboardEvent) => {
    const step = STEPS[event.key];
    if (!isPlain(event)) {
      return;
    }
    if (step !== undefined) {
      event.preventDefault();
      setCursor(Math.max(0, Math.min(MOST, at + step)));
    } else if (event.key === "Enter" && id !== null) {
      onOpen(id);
    }
  };
  const onPointerMove = (event: PointerEvent) => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const share = (event.clientX - box.left) / (box.width || 1);
    setCursor(Math.max(0, Math.min(MOST, share * MOST)));
  };
  const ticks = ticksOf(course);
  const shown = DOINGS.filter((each) => course.jobs[each].some((value) => value > 0));
  const seconds = to - from < 6 * 60_000;
  const states = [...new Set(session.map(({ word }) => word))];
  return (
    <div class="qsw-timeline">
      <div class="qsw-lanes">
        {session.length > 0 && (
          <div class="qsw-lane">
            <span>Session</span>
            <SessionLane course={course} />
          </div>
        )}
        <div class="qsw-lane qsw-lane-jobs">
          <span>Jobs</span>
          <Bars layers={shown.map((each) => [each, course.jobs[each]])} />
        </div>
        <div class="qsw-lane qsw-lane-queue">
          <span>Queue</span>
          <Bars layers={[["queued", course.waiting]]} />
        </div>
        <div class="qsw-axis" aria-hidden="true">
          {ticks.map((tick) => (
            <span key={tick} style={place(tick)} data-late={tick > from + LATE * (to - from)}>
              {seconds ? moment(tick, serverNow) : CLOCK.format(tick)}
            </span>
          ))}
          <span class="qsw-now">{head.details.closed_at ? "end" : "now"}</span>
        </div>
        <div
          class="qsw-cursor"
          role="slider"
          tabIndex={0}
          aria-label="Time in the timeline"
          aria-valuemin={0}
          aria-valuemax={MOST}
          aria-valuenow={Math.round(at)}
          aria-valuetext={words}
          onKeyDown={onKeyDown}
          onPointerMove={onPointerMove}
          onPointerLeave={() => setCursor(null)}
          onClick={() => id !== null && onOpen(id)}
          {...OWN_KEYS}
        >
          {cursor !== null && <span style={{ left: `${(100 * at) / MOST}%` }} />}
        </div>
      </div>
      <p class="qsw-timeline-at" data-testid="qsw-timeline-at">
        {words} <span class="qsw-quiet">· in all {span(to - from)}</span>
      </p>
      <p class="qsw-legend">
        {states.map((word) => (
          <span key={word}>
            <i class={classOf(word)} aria-hidden="true" />
            {word}
          </span>
        ))}
        {shown
          .filter((each) => each !== "running" || states.length === 0)
          .map((each) => (
            <span key={each}>
              <i class={`qsw-span-${each}`} aria-hidden="true" />
              {NAMES[each]}
            </span>
          ))}
      </p>
    </div>
  );
}
