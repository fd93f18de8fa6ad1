import { useEffect } from "preact/hooks";
import { type Circuit, type Peek, type Result, STAGES } from "../../contract";
import type { Job } from "../state/job-list";
import type { Peeks } from "../state/peeks";
import { CopyButton } from "../ui/copy";
import { count, duration, moment, NONE, span } from "../ui/format";
import { OWN_KEYS } from "../ui/keys";
import { jobWord } from "../ui/words";
import { waitingOf } from "./order";
import { estimateWords } from "./row";

const AXIS = 200;

function Counts({ result }: { result: Result }) {
  const counts = result.counts ?? [];
  const most = Math.max(1, ...counts.map(([, n]) => n));
  return (
    <ul class="qsw-chart" aria-label={`Counts of ${result.name}`}>
      {counts.map(([bits, n]) => (
        <li key={bits}>
          <code class="qsw-clip">{bits}</code>
          <svg viewBox={`0 0 ${AXIS} 10`} preserveAspectRatio="none" aria-hidden="true">
            <rect class="qsw-count" width={(AXIS * n) / most} height="10" />
          </svg>
          <span class="qsw-figure">{n}</span>
        </li>
      ))}
    </ul>
  );
}

function Values({ result }: { result: Result }) {
  const values = result.values ?? [];
  const ends = values.flatMap(([, value, error]) =>
    value === null ? [] : [value - (error ?? 0), value + (error ?? 0)],
  );
  const low = Math.min(0, ...ends);
  const width = Math.max(0, ...ends) - low || 1;
  const x = (value: number) => 4 + ((value - low) / width) * (AXIS - 8);
  return (
    <ul class="qsw-chart" aria-label={`Values of ${result.name}`}>
      {values.map(([at, value, error]) => (
        <li key={at}>
          <code class="qsw-clip">{at === "" ? result.name : `${result.name}[${at}]`}</code>
          <svg viewBox={`0 0 ${AXIS} 10`} preserveAspectRatio="none" aria-hidden="true">
            <path class="qsw-zero" d={`M${x(0)} 0v10`} />
            {value !== null && (
              <path
                class="qsw-value"
                d={`M${x(value - (error ?? 0))} 5H${x(value + (error ?? 0))}M${x(value)} 1v8`}
              />
            )}
          </svg>
          <span class="qsw-figure">
            {value === null ? NONE : value.toFixed(4)}
            {error !== null && ` ± ${error.toFixed(4)}`}
          </span>
        </li>
      ))}
    </ul>
  );
}

function ResultView({ result }: { result: Result }) {
  const about = result.shots === undefined ? "" : `, ${count(result.shots, "shot")}`;
  return (
    <div class="qsw-result">
      <h4>
        Pub {result.pub}: <code>{result.name}</code>
        {about}
      </h4>
      {result.counts ? <Counts result={result} /> : <Values result={result} />}
      {result.more > 0 && <p class="qsw-quiet">and {result.more} more</p>}
    </div>
  );
}

/** The figures of the job's first circuit, and its drawing. */
function CircuitView({ circuit }: { circuit: Circuit }) {
  const { name, qubits, depth, two_qubit, drawing } = circuit;
  return (
    <div class="qsw-result">
      <h4>
        Circuit: <code>{name}</code>, {count(qubits, "qubit")}, depth {depth},{" "}
        {count(two_qubit, "two-qubit gate")}
      </h4>
      {drawing && <pre>{drawing}</pre>}
    </div>
  );
}

/** The stages of a job and how long each took. */
function Course({ job, serverNow }: { job: Job; serverNow: number }) {
  const waits = waitingOf(job, serverNow);
  const facts: [string, string][] = waits === null ? [] : [["queued", duration(waits)]];
  const end = job.waited !== null && job.ran !== null ? job.waited + job.ran : null;
  const begun = [...job.stages, end];
  STAGES.forEach((stage, at) => {
    const from = begun[at] ?? null;
    const to = begun.slice(at + 1).find((each) => each !== null) ?? null;
    if (from !== null && to !== null) {
      facts.push([stage, duration(to - from)]);
    }
  });
  if (facts.length === 1 && job.ran !== null) {
    facts.push(["ran", duration(job.ran)]);
  }
  if (end !== null && job.created !== null) {
    facts.push([jobWord(job.status), moment(job.created + end, serverNow)]);
  }
  return (
    <dl class="qsw-course" data-ended={job.status}>
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Facts({ peek, job, serverNow }: { peek: Peek; job: Job; serverNow: number }) {
  const facts: [string, string][] = [];
  if (job.estimate !== null) {
    const words = estimateWords(job.estimate, serverNow) ?? "it should have begun";
    facts.push(["estimated start", `${words} (${job.estimate.basis})`]);
  }
  if (typeof peek.pubs === "number") {
    facts.push(["pubs", String(peek.pubs)]);
  }
  if (typeof peek.usage === "number") {
    facts.push(["usage", span(peek.usage * 1000)]);
  }
  if (peek.tags?.length) {
    facts.push(["tags", peek.tags.join(", ")]);
  }
  return (
    <dl class="qsw-options">
      {[...facts, ...(peek.options ?? [])].map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

interface DetailProps {
  job: Job;
  peeks: Peeks;
  /** There is no kernel to answer. */
  disabled: boolean;
  serverNow: number;
}

/** The details of a row: why the job failed, its result, its options, and how to fetch it. */
export function Detail({ job, peeks, disabled, serverNow }: DetailProps) {
  const peek = peeks.get(job.id);
  useEffect(() => {
    if (!disabled) {
      peeks.ask(job.id);
    }
    // Ask again when there may be more to show.
  }, [job.id, job.status, disabled]);
  const reason = peek?.reason ?? job.reason;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: long content is scrolled by keys
    <section class="qsw-detail" aria-label={`Job ${job.id}`} tabIndex={0} {...OWN_KEYS}>
      <Course job={job} serverNow={serverNow} />
      {reason && (
        <p class="qsw-reason" data-testid="qsw-reason">
          {reason}
        </p>
      )}
      {peek?.error && <p class="qsw-quiet">The job could not be read: {peek.error}</p>}
      {!peek && (
        <p class="qsw-quiet">
          {disabled ? "No connection: its result cannot be fetched." : "Fetching…"}
        </p>
      )}
      {peek?.code && (
        <p class="qsw-code">
          <code class="qsw-clip">{peek.code}</code>
          <CopyButton text={peek.code} what="line of code" />
        </p>
      )}
      {peek?.circuit && <CircuitView circuit={peek.circuit} />}
      {peek?.results?.map((result) => (
        <ResultView key={`${result.pub} ${result.name}`} result={result} />
      ))}
      {peek?.notes?.map((note) => (
        <p class="qsw-quiet" key={note}>
          {note}
        </p>
      ))}
      {peek && !peek.error && <Facts peek={peek} job={job} serverNow={serverNow} />}
    </section>
  );
}
