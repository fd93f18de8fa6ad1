import { useMemo } from "preact/hooks";
import type { Head } from "../../contract";
import type { JobList } from "../state/job-list";
import { count, measured, span, thousands } from "../ui/format";
import { curveOf, paceOf } from "./experiment";

interface StripProps {
  head: Head;
  jobs: JobList;
  serverNow: number;
}

/** How far it is: parts that have ended, run and wait, of all that are expected. */
function Bar({ jobs, total }: { jobs: JobList; total: number }) {
  const { completed, failed, cancelled, running, queued } = jobs.tally.counts;
  const parts = [
    ["done", completed],
    ["failed", failed],
    ["cancelled", cancelled],
    ["running", running],
    ["queued", queued],
  ] as const;
  return (
    <span class="qsw-bar" aria-hidden="true">
      {parts.map(([name, n]) =>
        n > 0 ? (
          <span key={name} class={`qsw-part-${name}`} style={{ width: `${(100 * n) / total}%` }} />
        ) : null,
      )}
    </span>
  );
}

const WIDTH = 120;
const HEIGHT = 22;

/** The values of a loop, with the last one in figures. */
function Curve({ jobs }: { jobs: JobList }) {
  const values = useMemo(() => curveOf(jobs), [jobs]);
  const last = values.at(-1);
  if (!last) {
    return null;
  }
  const points = values.map(({ value }) => value);
  const [low, high] = [Math.min(...points), Math.max(...points)];
  const x = (at: number) => 2 + (at * (WIDTH - 6)) / Math.max(1, points.length - 1);
  const y = (value: number) =>
    high === low ? HEIGHT / 2 : 3 + ((high - value) * (HEIGHT - 6)) / (high - low);
  const path = points.map(
    (value, at) => `${at ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`,
  );
  const words = measured(last.value, last.error);
  return (
    <span
      class="qsw-curve"
      data-testid="qsw-curve"
      title={`Values of the last ${count(points.length, "job")}`}
    >
      {points.length > 1 && (
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
          <path d={path.join("")} />
          <circle cx={x(points.length - 1)} cy={y(last.value)} r="2.5" />
        </svg>
      )}
      <span class="qsw-visually-hidden">Last value </span>
      <strong>{words}</strong>
    </span>
  );
}

/** The text beside the counts: how long the rest may take, and how many failed. */
function restWords({ head, jobs, serverNow }: StripProps): string {
  const { counts } = jobs.tally;
  const words: string[] = [];
  if (counts.failed > 0) {
    words.push(`${thousands(counts.failed)} failed`);
  }
  if (counts.cancelled > 0) {
    words.push(`${thousands(counts.cancelled)} cancelled`);
  }
  const ended = counts.completed + counts.failed + counts.cancelled;
  const pace = paceOf(jobs, serverNow);
  if (head.total !== null && ended < head.total && pace !== null) {
    words.push(`about ${span(((head.total - ended) / pace) * 1000)} left`);
  }
  return words.join(" · ");
}

/** Counts in fixed places: nothing beside them moves when they grow. */
export function ProgressStrip(props: StripProps) {
  const { head, jobs } = props;
  const { completed, failed, cancelled, running, queued } = jobs.tally.counts;
  const ended = completed + failed + cancelled;
  const total = Math.max(1, jobs.count, head.total ?? 0);
  const done =
    head.total === null ? thousands(completed) : `${thousands(ended)} of ${thousands(head.total)}`;
  return (
    <div class="qsw-progress" data-testid="qsw-progress">
      <Bar jobs={jobs} total={total} />
      <span class="qsw-tally">
        {(
          [
            ["done", done],
            ["running", thousands(running)],
            ["queued", thousands(queued)],
          ] as const
        ).map(([name, n]) => (
          <span
            key={name}
            class={name === "done" && head.total !== null ? "qsw-tally-wide" : undefined}
          >
            <i class={`qsw-part-${name}`} aria-hidden="true" />
            {/* The word goes first: a growing number moves nothing. */}
            <span class="qsw-tally-word">{name} </span>
            {n}
          </span>
        ))}
        <span class="qsw-tally-rest qsw-clip">{restWords(props)}</span>
      </span>
      <Curve jobs={jobs} />
    </div>
  );
}
