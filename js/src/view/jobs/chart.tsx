import { useMemo, useState } from "preact/hooks";
import type { Head } from "../../contract";
import type { JobList } from "../state/job-list";
import { count, moment, span } from "../ui/format";
import { OWN_KEYS } from "../ui/keys";
import { type Course, countsAt, type Lane, timelineOf } from "./timeline";

const WIDTH = 1000;
const STEPS: Readonly<Record<string, number>> = {
  ArrowLeft: -1,
  ArrowRight: 1,
  PageDown: -10,
  PageUp: 10,
  Home: Number.NEGATIVE_INFINITY,
  End: Number.POSITIVE_INFINITY,
};
const MOST = 100;

function LaneView({ lane, timeline }: { lane: Lane; timeline: Course }) {
  const scale = WIDTH / (timeline.to - timeline.from);
  const x = (when: number) => Math.round((when - timeline.from) * scale * 10) / 10;
  // One path for any number of spans; short ones stay visible.
  const path = lane.spans
    .map(([from, to]) => `M${x(from)} 0h${Math.max(1.5, x(to) - x(from))}v10H${x(from)}z`)
    .join("");
  return (
    <div class="qsw-lane">
      <span class="qsw-clip">{lane.label}</span>
      <svg viewBox={`0 0 ${WIDTH} 10`} preserveAspectRatio="none" aria-hidden="true">
        <path class={`qsw-lane-${lane.name}`} d={path} />
      </svg>
    </div>
  );
}

interface ChartProps {
  head: Head;
  jobs: JobList;
  serverNow: number;
}

/** The course of the session. */
export function Timeline({ head, jobs, serverNow }: ChartProps) {
  const second = Math.floor(serverNow / 1000) * 1000;
  const timeline = useMemo(() => timelineOf(head, jobs, second), [head.details, jobs, second]);
  const [cursor, setCursor] = useState<number | null>(null);
  if (!timeline) {
    return <p class="qsw-quiet qsw-timeline">The service has not said when anything happened.</p>;
  }
  const { from, to, lanes } = timeline;
  const at = cursor ?? MOST;
  const when = from + ((to - from) * at) / MOST;
  const [waiting, running] = countsAt(jobs, when === to ? to - 1 : when, to);
  const words = `${moment(when, serverNow)}: ${count(waiting, "job")} waiting, ${running} running`;
  const onKeyDown = (event: KeyboardEvent) => {
    const step = STEPS[event.key];
    if (step !== undefined && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      setCursor(Math.max(0, Math.min(MOST, at + step)));
    }
  };
  const onPointerMove = (event: PointerEvent) => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const share = (event.clientX - box.left) / (box.width || 1);
    setCursor(Math.max(0, Math.min(MOST, share * MOST)));
  };
  return (
    <div class="qsw-timeline">
      <div class="qsw-lanes">
        {lanes.map((lane) => (
          <LaneView key={lane.name} lane={lane} timeline={timeline} />
        ))}
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
          {...OWN_KEYS}
        >
          {cursor !== null && <span style={{ left: `${(100 * at) / MOST}%` }} />}
        </div>
      </div>
      <p class="qsw-quiet" data-testid="qsw-timeline-at">
        {words}. In all {span(to - from)}.
      </p>
    </div>
  );
}
