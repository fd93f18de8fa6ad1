/**
 * Validates what comes over the wire. The kernel's package and this module match, but a saved
 * notebook may contain anything, and nothing in it may break the page.
 */
import type {
  Beat,
  Cache,
  Circuit,
  Commands,
  Countdown,
  Estimates,
  Head,
  Holder,
  Link,
  Notice,
  Page,
  Peek,
  Reason,
  Result,
  StageTimes,
  Summary,
  UsageSplit,
  Why,
} from "../../contract";

type Fields = Readonly<Record<string, unknown>>;

const LONGEST_TEXT = 4000;
const MOST_DRAWN = 20_000;
const MOST = 1000;

function fields(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function text(value: unknown): string {
  return typeof value === "string" ? value.slice(0, LONGEST_TEXT) : "";
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? text(value) : null;
}

export function numberOr<T>(value: unknown, otherwise: T): number | T {
  return typeof value === "number" && Number.isFinite(value) ? value : otherwise;
}

function oneOf<T extends string>(value: unknown, known: readonly T[], otherwise: T): T {
  return known.find((each) => each === value) ?? otherwise;
}

/** The first of those with the same key: Preact needs distinct keys. */
function unique<T>(values: readonly T[], keyOf: (value: T) => unknown): T[] {
  return [...new Map([...values].reverse().map((each) => [keyOf(each), each])).values()].reverse();
}

function whyOf(value: unknown): Why | null {
  if (typeof value !== "object" || value === null) {
    return null;
  }
  const { parts, fields: names, document } = fields(value);
  return {
    parts: list(parts).map((part) => numberOr(part, text(part))),
    fields: list(names).map(text),
    document: text(document),
  };
}

function countdownOf(value: unknown): Countdown[] {
  const { kind, label, ends, total } = fields(value);
  const known = numberOr(ends, null) !== null && numberOr(total, null) !== null;
  return known
    ? [
        {
          kind: oneOf(kind, ["first_job", "interactive", "max"], "max"),
          label: text(label),
          ends: Number(ends),
          total: Number(total),
        },
      ]
    : [];
}

function positive(value: unknown): number | null {
  const found = numberOr(value, null);
  return found !== null && found >= 0 ? found : null;
}

function usageSplitOf(value: unknown): UsageSplit | null {
  const { on_device, preparing, idle } = fields(value);
  const split = {
    on_device: positive(on_device),
    preparing: positive(preparing),
    idle: positive(idle),
  };
  return Object.values(split).every((each) => each === null) ? null : split;
}

function cacheOf(value: unknown): Cache | null {
  const { hits, misses, seconds_saved } = fields(value);
  const [found, made, saved] = [positive(hits), positive(misses), positive(seconds_saved)];
  return found === null || made === null || saved === null
    ? null
    : { hits: found, misses: made, seconds_saved: saved };
}

function holderOf(value: unknown): Holder | null {
  if (typeof value !== "object" || value === null) {
    return null;
  }
  const { mine, session_id, name, place, idle, until, kernel_gone } = fields(value);
  return {
    mine: mine === true,
    session_id: textOrNull(session_id),
    name: textOrNull(name),
    place: textOrNull(place),
    idle: idle === true,
    until: numberOr(until, 0),
    kernel_gone: kernel_gone === true,
  };
}

export function headOf(value: unknown): Head {
  const head = fields(value);
  return {
    key: text(head.key),
    session_id: textOrNull(head.session_id),
    backend_name: textOrNull(head.backend_name),
    simulator: head.simulator === true,
    mode: head.mode === "dedicated" || head.mode === "batch" ? head.mode : null,
    policy: textOrNull(head.policy),
    status: textOrNull(head.status),
    state: textOrNull(head.state),
    accepting_jobs: typeof head.accepting_jobs === "boolean" ? head.accepting_jobs : null,
    details: fields(head.details),
    name: textOrNull(head.name),
    cell_id: textOrNull(head.cell_id),
    holder: holderOf(head.holder),
    gives_way: head.gives_way === true,
    total: positive(head.total),
    ended_here: head.ended_here === true,
    position: positive(head.position),
    details_at: numberOr(head.details_at, 0),
    usage: usageSplitOf(head.usage),
    cache: cacheOf(head.cache),
    countdowns: unique(list(head.countdowns).flatMap(countdownOf), ({ kind }) => kind),
    why: whyOf(head.why),
  };
}

export function beatOf(value: unknown): Beat | undefined {
  const { n, at, now, rate, every } = fields(value);
  const shown = numberOr(now, 0);
  return typeof value === "object" && value !== null
    ? {
        n: numberOr(n, 0),
        at: numberOr(at, shown),
        now: shown,
        rate: numberOr(rate, 1),
        every: numberOr(every, 1),
      }
    : undefined;
}

export function linkOf(value: unknown): Link {
  const { state, error, since, retry, cure, startable } = fields(value);
  return {
    state: oneOf(state, ["connecting", "live", "retrying", "ended"], "connecting"),
    error: textOrNull(error),
    since: numberOr(since, 0),
    retry: numberOr(retry, null),
    cure: textOrNull(cure),
    startable: startable === true,
  };
}

export function noticeOf(value: unknown): Notice {
  const { n, level, text: words, command } = fields(value);
  return {
    n: numberOr(n, 0),
    level: oneOf(level, ["info", "error"], "info"),
    text: text(words),
    command: text(command),
  };
}

export function commandsOf(value: unknown): Commands {
  const { heard, done, active } = fields(value);
  return {
    heard: list(heard).map(text),
    done: list(done).map(text),
    active: list(active).map((each) => {
      const [kind, jobId] = list(each);
      return [text(kind), textOrNull(jobId)];
    }),
  };
}

export function reasonsOf(value: unknown): Reason[] {
  return list(value).map((each) => {
    const [words, first, count] = list(each);
    return [text(words), numberOr(first, 0), numberOr(count, 0)];
  });
}

export function estimatesOf(value: unknown): Estimates {
  const { bases, jobs } = fields(value);
  return {
    bases: list(bases).map(text),
    jobs: list(jobs).map((each) => {
      const [job, starts, basis] = list(each);
      return [numberOr(job, -1), numberOr(starts, 0), numberOr(basis, -1)];
    }),
  };
}

function runsOf<T>(value: unknown, read: (value: unknown) => T): [T, number][] {
  return list(value).map((each) => {
    const [found, count] = list(each);
    return [read(found), Math.min(MOST, Math.max(0, Math.floor(numberOr(count, 0))))];
  });
}

function numbersOf(value: unknown): (number | null)[] {
  return list(value).map((each) => numberOr(each, null));
}

function summaryOf(value: unknown): Summary | null {
  const [first, error] = list(value);
  if (typeof first === "number") {
    return Number.isFinite(first) ? [first, numberOr(error, null)] : null;
  }
  const rows = list(value).map((row): [string, number] => {
    const [bits, share] = list(row);
    return [text(bits), Math.min(1, Math.max(0, numberOr(share, 0)))];
  });
  return rows.length > 0 ? rows : null;
}

export function pageOf(value: unknown): Page {
  const page = fields(value);
  return {
    ids: list(page.ids).map(text),
    programs: runsOf(page.programs, text),
    roles: runsOf(page.roles, text),
    tags: runsOf(page.tags, (tags) => list(tags).map(text)),
    created: numbersOf(page.created),
    waited: numbersOf(page.waited),
    ran: numbersOf(page.ran),
    pubs: runsOf(page.pubs, (pubs) => numberOr(pubs, null)),
    stages: list(page.stages).map((times): StageTimes | null =>
      Array.isArray(times) ? numbersOf(times) : null,
    ),
    results: list(page.results).map(summaryOf),
  };
}

function resultOf(value: unknown): Result {
  const { pub, name, more, shots, counts, values } = fields(value);
  const result: Result = { pub: numberOr(pub, 0), name: text(name), more: numberOr(more, 0) };
  if (Array.isArray(values)) {
    const rows = values.map((row): [string, number | null, number | null] => {
      const [at, found, error] = list(row);
      return [text(at), numberOr(found, null), numberOr(error, null)];
    });
    return { ...result, values: unique(rows, ([at]) => at) };
  }
  const rows = list(counts).map((row): [string, number] => {
    const [bits, n] = list(row);
    return [text(bits), Math.max(0, numberOr(n, 0))];
  });
  return { ...result, shots: numberOr(shots, 0), counts: unique(rows, ([bits]) => bits) };
}

function circuitOf(value: unknown): Circuit | null {
  const { name, qubits, depth, two_qubit, drawing } = fields(value);
  return typeof name === "string"
    ? {
        name: text(name),
        qubits: numberOr(qubits, 0),
        depth: numberOr(depth, 0),
        two_qubit: numberOr(two_qubit, 0),
        drawing: typeof drawing === "string" ? drawing.slice(0, MOST_DRAWN) : null,
      }
    : null;
}

/** The preview of a job; null for any other message. */
/** Whether a message is a kernel's answer to `here`. */
export function isAnswer(message: unknown): boolean {
  return fields(message).here === true;
}

export function peekOf(message: unknown): Peek | null {
  const peek = fields(fields(message).peek);
  if (typeof peek.job_id !== "string") {
    return null;
  }
  const options = list(peek.options).map((row): [string, string] => {
    const [name, value] = list(row);
    return [text(name), text(value)];
  });
  return {
    job_id: peek.job_id,
    error: text(peek.error),
    code: text(peek.code),
    reason: textOrNull(peek.reason),
    tags: list(peek.tags).map(text),
    usage: numberOr(peek.usage, null),
    pubs: numberOr(peek.pubs, null),
    options: unique(options, ([name]) => name),
    notes: unique(list(peek.notes).map(text), (note) => note),
    circuit: circuitOf(peek.circuit),
    results: unique(list(peek.results).map(resultOf), ({ pub, name }) => `${pub} ${name}`),
  };
}
