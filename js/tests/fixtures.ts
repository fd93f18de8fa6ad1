import {
  type Head,
  type Link,
  type Page,
  type Peek,
  type Reason,
  STAGES,
  type Stage,
  type StageTimes,
  type Summary,
  type Traits,
} from "../src/contract";
import type { JobList, JobStatus } from "../src/view/state/job-list";
import { reader } from "../src/view/state/model";
import { FakeModel } from "./fake-model";

const CODES: Readonly<Record<JobStatus, number>> = {
  queued: 0,
  running: 1,
  completed: 2,
  failed: 3,
  cancelled: 4,
  unknown: 15,
};
const PAGE = 64;

export interface JobSpec {
  id: string;
  status: JobStatus;
  program?: string;
  role?: string;
  tags?: readonly string[];
  /** Seconds before now. */
  age?: number;
  waited?: number;
  ran?: number;
  reason?: string;
  pubs?: number;
  stage?: Stage;
  /** Seconds from its creation to each stage. */
  stages?: readonly number[];
  /** Seconds until it may start. */
  starts?: number;
  summary?: Summary;
}

type JobTraits = Pick<Traits, "jobs" | "states" | "reasons" | "estimates"> &
  Record<`page${number}`, Page>;

function page(specs: readonly JobSpec[], now: number): Page {
  const ms = (seconds: number | undefined) =>
    seconds === undefined ? null : Math.round(seconds * 1000);
  let last = 0;
  return {
    ids: specs.map(({ id }) => id),
    programs: specs.map(({ program }) => [program ?? "sampler", 1] as const),
    roles: specs.some(({ role }) => role)
      ? specs.map(({ program, role }) => [role ?? program ?? "sampler", 1] as const)
      : [],
    tags: specs.map(({ tags }) => [tags ?? [], 1] as const),
    created: specs.map(({ age }) => {
      if (age === undefined) {
        return null;
      }
      const step = now - age * 1000 - last;
      last += step;
      return step;
    }),
    waited: specs.map(({ waited }) => ms(waited)),
    ran: specs.map(({ ran }) => ms(ran)),
    pubs: specs.map(({ pubs }) => [pubs ?? null, 1] as const),
    stages: specs.some(({ stages }) => stages)
      ? specs.map(({ stages }): StageTimes | null => stages?.map(ms) ?? null)
      : [],
    results: specs.some(({ summary }) => summary)
      ? specs.map(({ summary }) => summary ?? null)
      : [],
  };
}

/** The traits of a list of jobs, oldest first. */
export function jobTraits(specs: readonly JobSpec[], now = Date.now()): JobTraits {
  const states = new DataView(new ArrayBuffer(specs.length));
  const traits: JobTraits = {
    jobs: { count: specs.length, page: PAGE },
    states,
    reasons: specs.flatMap(({ reason }, at): Reason[] =>
      reason === undefined ? [] : [[reason, at, 1]],
    ),
    estimates: {
      bases: ["12 jobs of this session took 14 s each (median)"],
      jobs: specs.flatMap(({ starts }, at) =>
        starts === undefined ? [] : [[at, now + starts * 1000, 0] as const],
      ),
    },
  };
  specs.forEach(({ status, stage }, at) => {
    const doing = stage === undefined ? 0 : STAGES.indexOf(stage) + 1;
    states.setUint8(at, CODES[status] | (doing << 4));
  });
  for (let at = 0; at < specs.length; at += PAGE) {
    traits[`page${at / PAGE}`] = page(specs.slice(at, at + PAGE), now);
  }
  return traits;
}

export function jobList(specs: readonly JobSpec[], now = Date.now()): JobList {
  return reader(new FakeModel(jobTraits(specs, now)))().jobs;
}

export const MIXED: readonly JobSpec[] = [
  { id: "d3k1f2s0v6qs73a8r0a1", status: "completed", age: 512, waited: 0.8, ran: 4.21 },
  {
    id: "d3k1f2s0v6qs73a8r0b2",
    status: "failed",
    program: "estimator",
    age: 430,
    waited: 1.2,
    ran: 0.35,
    reason:
      "The circuit needs 7 qubits and the device has 5.\nTranspile it for this backend, or choose a wider one: " +
      "least_busy(min_num_qubits=7) finds it.\nCircuit 3 of 12 was the first that does not fit.",
  },
  { id: "d3k1f2s0v6qs73a8r0c3", status: "completed", age: 402, waited: 2.5, ran: 75 },
  {
    id: "d3k1f2s0v6qs73a8r0d4",
    status: "cancelled",
    age: 310,
    reason: "Cancelled by its owner.",
  },
  {
    id: "d3k1f2s0v6qs73a8r0e5",
    status: "running",
    program: "estimator",
    tags: ["vqe", "h2"],
    age: 42,
    waited: 3.1,
  },
  { id: "d3k1f2s0v6qs73a8r0f6", status: "queued", age: 12.3 },
  { id: "d3k1f2s0v6qs73a8r0g7", status: "queued", age: 3.2 },
];

export const ACCEPTING = "In progress, accepting new jobs";
export const DRAINING = "In progress, not accepting new jobs";

export function head(changes: Partial<Head> = {}, now = Date.now()): Head {
  const iso = (secondsAgo: number) => new Date(now - secondsAgo * 1000).toISOString();
  return {
    key: "k1",
    session_id: "d3k1emq0v6qs73a8qzz0",
    backend_name: "fake_manila",
    simulator: false,
    mode: "dedicated",
    policy: null,
    status: ACCEPTING,
    state: "active",
    accepting_jobs: true,
    details: {
      id: "d3k1emq0v6qs73a8qzz0",
      backend_name: "fake_manila",
      interactive_timeout: 300,
      max_time: 28800,
      active_timeout: 28270,
      state: "active",
      accepting_jobs: true,
      last_job_started: iso(39),
      last_job_completed: iso(325),
      started_at: iso(530),
      closed_at: null,
      activated_at: iso(511),
      mode: "dedicated",
      usage_time: 79.56,
      timestamps: [
        { status: "open", timestamp: iso(530) },
        { status: "active", timestamp: iso(511) },
      ],
    },
    name: null,
    holder: null,
    gives_way: false,
    total: null,
    position: null,
    details_at: now,
    usage: null,
    cache: null,
    countdowns: [{ kind: "max", label: "Time left", ends: now + 28_270_000, total: 28_800_000 }],
    why: {
      parts: ["A job runs since ", now - 39_000, "; 2 jobs follow; usage goes on."],
      fields: ["state", "mode"],
      document: "https://example.com/execution-modes",
    },
    ...changes,
  };
}

export function link(changes: Partial<Link> = {}): Link {
  const quiet = { error: null, retry: null, cure: null, startable: false };
  return { state: "live", since: Date.now() - 60_000, ...quiet, ...changes };
}

/** A session with many jobs of all kinds. */
export function live(changes: Partial<Traits> = {}): Traits {
  return {
    head: head(),
    ...jobTraits(MIXED),
    beat: { n: 1, now: Date.now(), rate: 1, every: 1 },
    link: link(),
    notice: { n: 0, level: "info", text: "", command: "" },
    commands: { heard: [], done: [] },
    ...changes,
  };
}

/** One job of each code in turn, so that every window of the table has all kinds. */
export function manyJobs(count: number): JobSpec[] {
  const statuses: readonly JobStatus[] = ["completed", "completed", "failed", "queued", "running"];
  return Array.from({ length: count }, (_, i) => ({
    id: `job-${String(i).padStart(5, "0")}`,
    status: statuses[i % statuses.length] ?? "unknown",
    age: (count - i) * 2,
    waited: 1,
  }));
}

export const HOSTILE = '<img src=x onerror="globalThis.pwned = true">';

/** The kernel's answer to a request for a preview. */
export function peek(changes: Partial<Peek> = {}): { peek: Peek } {
  const id = MIXED[2]?.id ?? "";
  return {
    peek: {
      job_id: id,
      code: `service.job('${id}').result()`,
      reason: null,
      tags: ["vqe"],
      usage: 4.2,
      pubs: 2,
      options: [
        ["default_shots", "4096"],
        ["dynamical_decoupling.enable", "False"],
      ],
      circuit: {
        name: "bell",
        qubits: 2,
        depth: 3,
        two_qubit: 1,
        drawing: [
          "        ┌───┐      ░ ┌─┐   ",
          "   q_0: ┤ H ├──■───░─┤M├───",
          "        └───┘┌─┴─┐ ░ └╥┘┌─┐",
          "   q_1: ─────┤ X ├─░──╫─┤M├",
          "             └───┘ ░  ║ └╥┘",
          "meas: 2/══════════════╩══╩═",
          "                      0  1 ",
        ].join("\n"),
      },
      results: [
        {
          pub: 0,
          name: "meas",
          shots: 4096,
          more: 0,
          counts: [
            ["00", 2014],
            ["11", 1930],
            ["01", 88],
            ["10", 64],
          ],
        },
        {
          pub: 1,
          name: "evs",
          more: 3,
          values: [
            ["0", -1.8573, 0.02],
            ["1", 0.4, 0.05],
            ["2", null, null],
          ],
        },
      ],
      ...changes,
    },
  };
}

/** The same jobs at a service that sends all optional data. */
export const STAGED: readonly JobSpec[] = MIXED.map((job) => {
  const { status, waited, ran } = job;
  if (status === "queued") {
    return { ...job, pubs: 1, starts: job.id.endsWith("f6") ? 17 : 31 };
  }
  if (waited === undefined) {
    return { ...job, pubs: 3 };
  }
  const stages = [waited, waited + 0.3];
  return status === "running"
    ? { ...job, pubs: 12, stage: "on device", stages }
    : { ...job, pubs: 2, stages: [...stages, waited + (ran ?? 0) - 0.02] };
});

const BELL: Summary = [
  ["00", 0.511],
  ["11", 0.469],
  ["01", 0.012],
  ["10", 0.008],
];

/** A loop of an optimizer: one job after the other, seven a second, each with a value. */
export function loopJobs(count: number): JobSpec[] {
  return Array.from({ length: count }, (_, at): JobSpec => {
    const age = 0.14 * (count - at);
    const shared = { id: `d4k${(7919 * (at + 1)).toString(36).padStart(5, "0")}v6qs73a8r0`, age };
    const value =
      -1.851 + 0.6 * Math.exp(-at / 30) + 0.02 * Math.sin(at * 1.7) * Math.exp(-at / 60);
    return at === count - 1
      ? {
          ...shared,
          status: "running",
          program: "estimator",
          pubs: 1,
          waited: 0.01,
          stage: "on device",
        }
      : {
          ...shared,
          status: "completed",
          program: at % 40 === 37 ? "sampler" : "estimator",
          pubs: 1,
          waited: 0.01,
          ran: 0.1,
          summary: at % 40 === 37 ? BELL : [value, 0.0043],
        };
  });
}

const loop = (): Traits =>
  live({
    head: head({
      name: "H2 ground state",
      backend_name: "fake_torino",
      total: 400,
      why: {
        parts: [
          "7 jobs a second since ",
          Date.now() - 26_000,
          ", ahead of the normal queue; usage goes on.",
        ],
        fields: ["state", "mode"],
        document: "https://example.com/execution-modes",
      },
      countdowns: [
        { kind: "max", label: "Time left", ends: Date.now() + 1_781_000, total: 1_800_000 },
      ],
    }),
    ...jobTraits(loopJobs(189)),
  });

const waiting = (holder: Head["holder"]): Traits =>
  live({
    head: head({
      status: "Pending",
      state: "open",
      position: 1,
      holder,
      countdowns: [],
      details: { max_time: 1800, interactive_timeout: 60, usage_time: 0 },
      why: {
        parts: [
          "1 job waits for the device; when it starts, usage and the maximum time of 30 min begin.",
        ],
        fields: ["state", "max_ttl"],
        document: "https://example.com/execution-modes",
      },
    }),
    ...jobTraits([{ id: "d3k1f2s0v6qs73a8r0g7", status: "queued", age: 3.2, pubs: 1 }]),
  });

/** The states that the gallery shows and the tests go through. */
export const STATES: Readonly<Record<string, () => Partial<Traits>>> = {
  loop,
  waiting: () =>
    waiting({
      mine: true,
      session_id: "4e1a22c0v6qs73a8qzz0",
      name: null,
      place: "quickstart.ipynb",
      idle: true,
      until: Date.now() + 42_000,
      kernel_gone: false,
    }),
  others: () =>
    waiting({
      mine: false,
      session_id: null,
      name: null,
      place: null,
      idle: false,
      until: Date.now() + 412_000,
      kernel_gone: false,
    }),
  live: () => live(),
  inactive: () =>
    live({
      head: head({
        status: "Pending",
        state: "inactive",
        why: {
          parts: [
            "It had no job for 60 s at ",
            Date.now() - 90_000,
            "; the next job waits in the normal queue, and usage stands still.",
          ],
          fields: ["state", "interactive_ttl"],
          document: "https://example.com/run-jobs-session",
        },
      }),
      ...jobTraits(
        MIXED.slice(0, 4).map((job) =>
          job.status === "completed" ? { ...job, summary: BELL } : job,
        ),
      ),
    }),
  offline: () =>
    live({
      link: link({
        state: "retrying",
        retry: 4,
        error: "GET http://127.0.0.1:40123/api/v1/qsession/watch: connection refused",
        cure: "The local runtime was stopped. The next cell starts it.",
        startable: true,
      }),
    }),
  staged: () =>
    live({
      head: head({
        policy: "dedicated",
        usage: { on_device: 2.5, preparing: 2.6, idle: 35.46 },
        cache: { hits: 31, misses: 4, seconds_saved: 12.7 },
      }),
      ...jobTraits(STAGED),
    }),
  virtual: () => {
    const noon = Date.UTC(2026, 0, 5, 12, 0, 0);
    return live({
      head: head({ policy: "shared" }, noon),
      ...jobTraits(MIXED, noon),
      beat: { n: 1, at: Date.now(), now: noon, rate: 0, every: 1 },
    });
  },
  simulator: () =>
    live({
      head: head({
        session_id: null,
        simulator: true,
        mode: null,
        status: null,
        state: null,
        accepting_jobs: null,
        backend_name: "ibmq_qasm_simulator",
        details: {},
        countdowns: [],
        why: null,
      }),
    }),
  empty: () =>
    live({
      head: head({
        status: "Pending",
        state: "open",
        details: { max_time: 28800, interactive_timeout: 60, usage_time: 0 },
        why: {
          parts: ["No job has been submitted yet; usage has not begun."],
          fields: ["state"],
          document: "https://example.com/run-jobs-session",
        },
        countdowns: [
          {
            kind: "first_job",
            label: "Time to first job",
            ends: Date.now() + 1_500_000,
            total: 1_800_000,
          },
        ],
      }),
      ...jobTraits([]),
    }),
  idle: () =>
    live({
      head: head({
        why: {
          parts: [
            "The last job ended at ",
            Date.now() - 46_000,
            "; without another one the session goes idle at ",
            Date.now() + 14_000,
            ", and usage goes on until then.",
          ],
          fields: ["state", "mode", "interactive_ttl", "last_job_completed"],
          document: "https://example.com/run-jobs-session",
        },
        countdowns: [
          {
            kind: "interactive",
            label: "Idle time left",
            ends: Date.now() + 18_000,
            total: 60_000,
          },
          { kind: "max", label: "Time left", ends: Date.now() + 120_000, total: 1_800_000 },
        ],
      }),
      ...jobTraits(MIXED.slice(0, 4)),
    }),
  connecting: () => ({ link: link({ state: "connecting" }) }),
  draining: () =>
    live({
      head: head({ status: DRAINING, accepting_jobs: false }),
      notice: {
        n: 1,
        level: "info",
        text: "The session takes no new jobs.",
        command: "Close session",
      },
    }),
  retrying: () =>
    live({
      link: link({
        state: "retrying",
        retry: 8,
        error: "GET https://quantum.example/api/v1/sessions/d3k1emq0: 503 Service Unavailable",
      }),
      notice: {
        n: 2,
        level: "error",
        text: "503 Service Unavailable: the service is being restarted",
        command: "Cancel job",
      },
    }),
  stale: () => {
    const lastBeat = Date.now() - 12_000;
    return live({
      ...jobTraits(MIXED, lastBeat),
      beat: { n: 9, now: lastBeat, rate: 1, every: 1 },
    });
  },
  saved: () => {
    const yesterday = Date.now() - 864e5;
    return live({
      head: head({}, yesterday),
      ...jobTraits(MIXED, yesterday),
      beat: { n: 9, now: yesterday, rate: 1, every: 1 },
    });
  },
  busy: () => live(),
  asked: () => STATES.stale?.() ?? {},
  ended: () =>
    live({
      head: head({
        status: "Closed",
        state: "closed",
        accepting_jobs: false,
        countdowns: [],
        why: {
          parts: ["Closed at ", Date.now() - 60_000, ": closed by its user."],
          fields: ["state", "state_reason", "closed_at"],
          document: "https://example.com/run-jobs-session",
        },
      }),
      ...jobTraits(
        MIXED.map((job) =>
          job.status === "queued" || job.status === "running"
            ? { ...job, status: "completed", waited: 3.1, ran: 12.34 }
            : job,
        ),
      ),
      link: link({ state: "ended" }),
    }),
  many: () => live(jobTraits(manyJobs(10_000))),
  hostile: () =>
    live({
      head: head({
        session_id: HOSTILE,
        backend_name: `${HOSTILE}${"x".repeat(200)}`,
        status: HOSTILE,
        why: {
          parts: [HOSTILE, Number.NaN, 1e300],
          fields: [HOSTILE],
          document: "javascript:globalThis.pwned=true",
        },
        details: { [HOSTILE]: HOSTILE, started_at: HOSTILE, timestamps: HOSTILE },
      }),
      ...jobTraits([
        { id: HOSTILE, status: "failed", program: HOSTILE, age: 1, reason: HOSTILE.repeat(20) },
        { id: "__proto__", status: "queued", age: 1 },
      ]),
      notice: { n: 3, level: "error", text: HOSTILE, command: HOSTILE },
    }),
};
