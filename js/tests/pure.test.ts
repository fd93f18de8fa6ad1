import { describe, expect, test } from "vitest";
import { firstPulse, isStale, pulseOf, serverTime } from "../src/clock";
import type { Head, Page } from "../src/contract";
import { leftOf } from "../src/view/head/countdowns";
import { curveOf, paceOf } from "../src/view/head/experiment";
import { figureOf } from "../src/view/head/figure";
import { type Usage, usageOf, usageWords } from "../src/view/head/usage";
import {
  EVERYTHING,
  type Filter,
  NEWEST_FIRST,
  order,
  runningOf,
  type SortKey,
  waitingOf,
} from "../src/view/jobs/order";
import { estimateWords } from "../src/view/jobs/row";
import { DETAIL_HEIGHT, ROW_HEIGHT, rowWindow } from "../src/view/jobs/window";
import { announcement, newsOf, next } from "../src/view/state/announce";
import { held, steady } from "../src/view/state/calm";
import { JobList, readStates } from "../src/view/state/job-list";
import { reader } from "../src/view/state/model";
import { isAnswered, isUnheard, sent } from "../src/view/state/pending";
import { consequence } from "../src/view/ui/consequence";
import {
  clock,
  count,
  duration,
  epoch,
  measured,
  moment,
  ordinal,
  relative,
  span,
} from "../src/view/ui/format";
import { apiWords, stateWord } from "../src/view/ui/words";
import { FakeModel } from "./fake-model";
import {
  DRAINING,
  head,
  type JobSpec,
  jobList,
  jobTraits,
  link,
  live,
  loopJobs,
  MIXED,
  STAGED,
} from "./fixtures";
import sample from "./golden/job-states.json";
import words from "./golden/session-words.json";

const NONE_WAIT = { bases: [], jobs: [] };
const NOW = Date.UTC(2026, 0, 5, 12, 0, 0);

describe("times in words", () => {
  test.each([
    [-5, "0.00 s"],
    [349, "0.34 s"],
    [59_999, "59.9 s"],
    [60_000, "1 min"],
    [75_000, "1 min 15 s"],
    [3_599_999, "59 min 59 s"],
    [3_600_000, "1 h"],
    [9_660_000, "2 h 41 min"],
    [183_600_000, "2 d 3 h"],
  ])("%i ms last %s", (ms, words) => {
    expect(duration(ms)).toBe(words);
  });

  test("what is configured has no tenths", () => {
    expect(span(59_999)).toBe("59 s");
    expect(span(28_800_000)).toBe("8 h");
  });

  test.each([
    [0, "just now"],
    [12_000, "12 s ago"],
    [119_000, "1 min ago"],
    [7_200_000, "2 h ago"],
    [86_400_000, "24 h ago"],
    [3 * 86_400_000, "3 days ago"],
    [-60_000, "in 1 min"],
  ])("%i ms before are %s", (ms, words) => {
    expect(relative(NOW - ms, NOW)).toBe(words);
  });

  test("another day has its date", () => {
    expect(moment(NOW - 1000, NOW)).not.toContain("Jan");
    expect(moment(NOW - 2 * 86_400_000, NOW)).toContain("Jan");
  });

  test("only ISO text is a time", () => {
    expect(epoch("2026-01-05T12:00:00Z")).toBe(NOW);
    expect(epoch("<img>")).toBeNull();
    expect(epoch(5)).toBeNull();
  });

  test("one job, two jobs", () => {
    expect([count(0, "job"), count(1, "job"), count(2, "job")]).toEqual([
      "0 jobs",
      "1 job",
      "2 jobs",
    ]);
  });
});

describe("the pulse", () => {
  test("silence of 4 s or three beats is too long", () => {
    const slow = { n: 1, now: NOW, rate: 1, every: 10 };
    expect(isStale(pulseOf({ ...slow, every: 1 }, NOW), "live", NOW + 4000)).toBe(false);
    expect(isStale(pulseOf({ ...slow, every: 1 }, NOW), "live", NOW + 4001)).toBe(true);
    expect(isStale(pulseOf(slow, NOW), "live", NOW + 30_000)).toBe(false);
    expect(isStale(pulseOf(slow, NOW), "retrying", NOW + 30_001)).toBe(true);
  });

  test("a session that has ended owes no beats", () => {
    const pulse = { ...pulseOf({ n: 1, now: NOW, rate: 1, every: 1 }, NOW), lost: true };
    expect(isStale(pulse, "ended", NOW + 1e9)).toBe(false);
    expect(isStale(pulse, "live", NOW)).toBe(true);
  });

  test("a beat sets the clock", () => {
    const pulse = pulseOf({ n: 2, now: NOW + 7000, rate: 1, every: 1 }, NOW);
    expect(serverTime(pulse, NOW + 100)).toBe(NOW + 7100);
  });

  test("a clock that goes faster is followed", () => {
    const pulse = pulseOf({ n: 2, now: NOW, rate: 60, every: 1 }, NOW);
    expect(serverTime(pulse, NOW + 1000)).toBe(NOW + 60_000);
  });

  test("a saved beat is as old as it says", () => {
    const pulse = firstPulse({ n: 9, now: NOW - 86_400_000, rate: 1, every: 1 }, NOW);
    expect(isStale(pulse, "live", NOW)).toBe(true);
    expect(serverTime(pulse, pulse.from)).toBe(NOW - 86_400_000);
  });

  test("before the first beat, patience counts from now", () => {
    const virtual = { n: 1, at: NOW - 900, now: NOW - 86_400_000, rate: 60, every: 1 };
    const heard = firstPulse(virtual, NOW);
    expect(isStale(heard, "live", NOW)).toBe(false);
    expect(serverTime(heard, NOW)).toBe(NOW - 86_400_000 + 54_000);
    const pulse = firstPulse(undefined, NOW);
    expect(pulse.seen).toBeNull();
    expect(isStale(pulse, "connecting", NOW + 4000)).toBe(false);
    expect(isStale(pulse, "connecting", NOW + 4001)).toBe(true);
    expect(firstPulse({ n: 0, now: 0, rate: 1, every: 2 }, NOW)).toMatchObject({ seen: null });
  });
});

describe("the list of jobs", () => {
  const jobs = jobList(MIXED, NOW);
  const states = (...bytes: number[]) => new DataView(new Uint8Array(bytes).buffer);

  test("every code has its word, and what a job does stands above it", () => {
    const list = new JobList(8, 64, [], states(0, 1, 2, 3, 4, 15, 0x71, 9), [], NONE_WAIT);
    expect(Array.from({ length: 9 }, (_, i) => list.statusAt(i))).toEqual([
      "queued",
      "running",
      "completed",
      "failed",
      "cancelled",
      "unknown",
      "running",
      "unknown",
      "unknown",
    ]);
    const doing = new JobList(5, 64, [], states(0x11, 0x21, 0x31, 0x01, 0x22), [], NONE_WAIT);
    expect(Array.from({ length: 5 }, (_, i) => doing.stageAt(i))).toEqual([
      "preparing",
      "on device",
      "post-processing",
      null,
      null,
    ]);
    const run = new JobList(9, 64, [], states(0xa1, 9, 0), [], NONE_WAIT);
    expect(run.stageAt(8)).toBe("on device");
  });

  test("bytes mean what the kernel means by them", () => {
    const jobs = sample.jobs.flatMap(([state, stage, count]) =>
      Array.from({ length: Number(count) }, () => [state, stage]),
    );
    const list = new JobList(jobs.length, 64, [], states(...sample.bytes), [], NONE_WAIT);
    const letters = (text: unknown) =>
      String(text)
        .toLowerCase()
        .replace(/[^a-z]/g, "");
    for (const [at, [state, stage]] of jobs.entries()) {
      expect(list.statusAt(at)).toBe(state === "Mystery" ? "unknown" : letters(state));
      expect(letters(list.stageAt(at))).toBe(letters(stage));
    }
  });

  test("a run of equal states takes three bytes", () => {
    const bytes = states(2, 0x80, 0x10, 0x27, 1);
    const read = readStates(bytes, 10_002);
    expect([read[0], read[1], read[10_000], read[10_001]]).toEqual([2, 0, 0, 1]);
    expect(Array.from(readStates(bytes, 3))).toEqual([2, 0, 0]);
    expect(Array.from(readStates(states(0x82, 9), 3))).toEqual([2, 9, 15]);
  });

  test("a row is read from all columns", () => {
    expect(jobs.at(1)).toMatchObject({
      id: MIXED[1]?.id,
      program: "estimator",
      status: "failed",
      created: NOW - 430_000,
      waited: 1200,
      ran: 350,
      reason: MIXED[1]?.reason,
    });
    expect(jobs.at(4).tags).toEqual(["vqe", "h2"]);
    expect(jobs.at(5)).toMatchObject({ waited: null, ran: null, reason: null });
    expect(jobs.indexOf(MIXED[6]?.id ?? "")).toBe(6);
    expect(jobs.indexOf("no such job")).toBe(-1);
    expect([jobs.queuePosition(5), jobs.queuePosition(6)]).toEqual([1, 2]);
  });

  test("a job is named by what it stands for, and found by its program too", () => {
    const official = [
      { id: "a", status: "completed", program: "executor", role: "sampler" },
      { id: "b", status: "completed", program: "executor" },
    ] as const;
    const found = jobList(official, NOW);
    expect([0, 1].map((at) => found.at(at).role)).toEqual(["sampler", "executor"]);
    expect(jobs.at(1)).toMatchObject({ program: "estimator", role: "estimator" });
    const only = (text: string) => order(found, NEWEST_FIRST, { ...EVERYTHING, text }, NOW);
    expect([only("sampler"), only("executor")]).toEqual([[0], [1, 0]]);
  });

  test("an estimate is of the one that waits", () => {
    const staged = jobList(STAGED, NOW);
    expect(staged.at(5).estimate?.starts).toBe(NOW + 17_000);
    expect(staged.at(4)).toMatchObject({ stage: "on device", pubs: 12, estimate: null });
    expect(staged.at(4).stages).toEqual([3100, 3400]);
    const started = STAGED.map((job) => ({ ...job, status: "completed" as const }));
    expect(jobList(started, NOW).at(5).estimate).toBeNull();
  });

  test("a page that lags behind costs only its values", () => {
    const late = new JobList(70, 64, [], undefined, [], NONE_WAIT);
    expect(late.at(69)).toMatchObject({ id: "", status: "unknown", created: null, waited: null });
    expect(late.tally.counts.unknown).toBe(70);
    const wrong = { ids: ["a"], programs: [["x", 1e9]], created: [], waited: [], ran: [] };
    const list = new JobList(2, 64, [wrong as unknown as Page], undefined, [], NONE_WAIT);
    expect(list.at(0)).toMatchObject({ id: "a", program: "x", tags: [], created: null });
  });

  test("a view into a longer buffer is read from its own start", () => {
    const padded = new Uint8Array([9, 9, 1]);
    expect(readStates(new DataView(padded.buffer, 2, 1), 1)[0]).toBe(1);
  });

  test("it is the same as long as no job is another", () => {
    const model = new FakeModel(live());
    const read = reader(model);
    const before = read().jobs;
    model.beat();
    expect(read().jobs).toBe(before);
    model.receive({ states: states(0) });
    expect(read().jobs).not.toBe(before);
  });

  test("how long each waited and ran", () => {
    const lengths = MIXED.map((_, at) => [
      waitingOf(jobs.at(at), NOW),
      runningOf(jobs.at(at), NOW),
    ]);
    expect(lengths.slice(2)).toEqual([
      [2500, 75_000],
      [null, null],
      [3100, 38_900],
      [12_300, null],
      [3200, null],
    ]);
  });
});

describe("the order of jobs", () => {
  const jobs = jobList(MIXED, NOW);
  const by = (key: SortKey, descending = false) =>
    order(jobs, { key, descending }, EVERYTHING, NOW);
  const only = (filter: Partial<Filter>) =>
    order(jobs, NEWEST_FIRST, { ...EVERYTHING, ...filter }, NOW);

  test("newest first, or as asked; what is not known is last", () => {
    expect(only({})).toEqual([6, 5, 4, 3, 2, 1, 0]);
    expect(by("created")).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(by("running", true).slice(0, 4)).toEqual([2, 4, 0, 1]);
    expect(by("waiting").at(-1)).toBe(3);
    expect(by("program").slice(0, 2)).toEqual([4, 1]);
    expect(by("status")[0]).toBe(4);
  });

  test("by status and by text", () => {
    expect(only({ status: "queued" })).toEqual([6, 5]);
    expect(only({ text: " VQE" })).toEqual([4]);
    expect(only({ text: "transpile it" })).toEqual([1]);
    expect(only({ text: "r0c3" })).toEqual([2]);
    expect(only({ status: "failed", text: "sampler" })).toEqual([]);
  });
});

test("a countdown warns in time", () => {
  const countdown = { kind: "max", label: "Time left", ends: NOW + 1000, total: 1000 } as const;
  expect(leftOf(countdown, NOW)).toEqual({ left: 1000, share: 1, nearness: "far" });
  expect(leftOf(countdown, NOW - 500).left).toBe(1000);
  expect(leftOf(countdown, NOW + 751).nearness).toBe("near");
  expect(leftOf(countdown, NOW + 901).nearness).toBe("close");
  expect(leftOf(countdown, NOW + 1e9)).toMatchObject({ left: 0, nearness: "close" });
});

test("the session's word is the same in Python and here", () => {
  for (const [state, accepting_jobs, mode, busy, word] of words as [
    string | null,
    boolean | null,
    "dedicated" | "batch",
    boolean,
    string,
  ][]) {
    expect(stateWord({ state, accepting_jobs, mode }, busy), `${state} ${busy}`).toBe(word);
  }
  expect(words.length).toBeGreaterThan(50);
  expect(apiWords({ state: "inactive", status: "Pending" })).toBe(
    'state "inactive", status "Pending"',
  );
});

describe("what people read stays for a second", () => {
  test("a text changes once in that time, to the last", () => {
    const first = held(null, "a", "a", NOW);
    const second = held(first, "b", "b", NOW + 999);
    expect(second.value).toBe("a");
    expect(held(second, "c", "c", NOW + 1000).value).toBe("c");
    expect(held(first, "A", "a", NOW + 1).value).toBe("A");
  });

  test("a session is not idle between two jobs of a loop", () => {
    const running = steady(null, "Running", NOW);
    const pause = steady(running, "Idle (paid)", NOW + 100);
    expect(pause.word).toBe("Running");
    expect(steady(pause, "Running", NOW + 200)).toEqual({ word: "Running", since: null });
    expect(steady(pause, "Idle (paid)", NOW + 1599).word).toBe("Running");
    expect(steady(pause, "Idle (paid)", NOW + 1600).word).toBe("Idle (paid)");
    expect(steady(running, "Closing", NOW + 1).word).toBe("Closing");
  });
});

describe("the number that matters", () => {
  const jobs = jobList(MIXED, NOW);
  const countdowns = [
    { kind: "interactive", label: "", ends: NOW + 18_000, total: 60_000 },
    { kind: "max", label: "", ends: NOW + 1_781_000, total: 1_800_000 },
  ] as const;
  const figure = (word: string, changes: Partial<Head> = {}, list = jobs) => {
    const { value, about } = figureOf(word, head({ countdowns, ...changes }, NOW), list, NOW);
    return `${value} ${about}`;
  };

  test("is the one of its state", () => {
    expect(figure("Running")).toBe("29:41 of 30 min left");
    expect(figure("Idle (paid)")).toBe("0:18 until inactive");
    expect(figure("Inactive", { position: 3 })).toBe("3rd in the queue");
    expect(figure("Waiting", {}, jobList(STAGED, NOW))).toBe("≈ 0:17 until it starts");
    expect(figure("Waiting")).toBe("2 jobs wait");
    expect(figure("Closing")).toBe("3 jobs left");
    expect(figure("Closed", { details: { usage_time: 12.34 } })).toBe("12.3 s used");
    expect(figure("Simulator")).toBe("2 jobs done");
    expect(figure("Running", { countdowns: [] })).toBe(" ");
  });

  test("keeps its digits", () => {
    expect(clock(9 * 60_000 + 59_999, 1_800_000)).toBe("09:59");
    expect(clock(18_000, 60_000)).toBe("0:18");
    expect(clock(28_263_000, 28_800_000)).toBe("7:51:03");
    expect(clock(59_000, 28_800_000)).toBe("0:00:59");
    expect([1, 2, 3, 4, 11, 21, 112].map(ordinal).join(" ")).toBe(
      "1st 2nd 3rd 4th 11th 21st 112th",
    );
  });
});

describe("an experiment", () => {
  const jobs = jobList(loopJobs(189), NOW);

  test("has a pace, while it goes on", () => {
    expect(paceOf(jobs, NOW)).toBeCloseTo(1 / 0.14, 1);
    expect(paceOf(jobs, NOW + 60_000)).toBeNull();
    expect(paceOf(jobList(loopJobs(2), NOW), NOW)).toBeNull();
    expect(paceOf(jobList(MIXED.slice(5), NOW), NOW)).toBeNull();
  });

  test("has a curve of the values of its jobs, oldest first", () => {
    const curve = curveOf(jobs);
    // The running job and the sampler's have no value.
    expect(curve).toHaveLength(188 - 4);
    expect(curve[0]?.value).toBeCloseTo(-1.251, 3);
    expect(curve.at(-1)?.error).toBe(0.0043);
    expect(curveOf(jobList(loopJobs(1000), NOW))).toHaveLength(200);
  });

  test("a value has the digits of its error", () => {
    expect(measured(-1.85104, 0.0043)).toBe("\u22121.851 ± 0.004");
    expect(measured(0.5, 0.0123)).toBe("0.500 ± 0.012");
    expect(measured(12.3, 4)).toBe("12 ± 4");
    expect(measured(-0.25, null)).toBe("\u22120.2500");
    expect(measured(1, 0)).toBe("1.0000");
  });
});

describe("what is read aloud", () => {
  const before = newsOf(reader(new FakeModel(live()))(), "Running", false);

  test.each([
    [{}, ""],
    [{ completed: before.completed + 1 }, "1 job done"],
    [{ completed: before.completed + 3, failed: before.failed + 1 }, "3 jobs done, 1 failed"],
    [{ failed: before.failed + 2, cancelled: before.cancelled + 1 }, "2 jobs failed, 1 cancelled"],
    [{ word: "Closed", completed: before.completed + 1 }, "Closed. 1 job done"],
    [{ trouble: "No connection" }, "No connection"],
  ])("%j", (changes, words) => {
    expect(announcement(before, { ...before, ...changes })).toBe(words);
  });

  test("it is told together, and not more often than every few seconds", () => {
    const done = (count: number) => ({ ...before, completed: before.completed + count });
    const first = next({ n: 0, text: "", at: 0, told: before }, done(1), NOW);
    expect([first.n, first.text]).toEqual([1, "1 job done"]);
    expect(next(first, done(1), NOW + 60_000)).toBe(first);
    expect(next(first, done(2), NOW + 4999)).toBe(first);
    const second = next(first, done(4), NOW + 5000);
    expect([second.n, second.text]).toEqual([2, "3 jobs done"]);
    // The same words again are another announcement.
    expect(next(second, done(7), NOW + 10_000)).toMatchObject({ n: 3, text: "3 jobs done" });
  });

  test("the end of a trouble is told as well", () => {
    expect(announcement({ ...before, trouble: "No connection" }, before)).toBe("Connected again");
  });
});

test("an estimate that has not come true is not shown on", () => {
  const words = (late: number) => estimateWords({ starts: NOW, basis: "" }, NOW + late);
  expect([-12_000, 0, 1999, 2000].map(words)).toEqual(["≈ 12 s", "soon", "soon", null]);
});

describe("usage", () => {
  const session = head({ details: { usage_time: 100 } }, NOW);
  const tally = jobList(MIXED, NOW).tally;

  test("of an active session goes on, and is told apart from its idle time", () => {
    const usage = usageOf(session, tally, NOW + 10_000);
    expect(usage).toEqual({ total: 110_000, parts: [] });
    const done = jobList(MIXED.slice(0, 4), NOW).tally;
    const told = usageOf(session, done, NOW);
    expect(told).toEqual({
      total: 100_000,
      parts: [
        [79_560, "in jobs"],
        [20_440, "idle"],
      ],
    });
    expect(told && usageWords(told)).toBe("1 min 40 s (1 min 20 s in jobs, 20 s idle)");
  });

  test("is said in parts that add up to what is said of the whole", () => {
    const thirds = (total: number): Usage => ({
      total,
      parts: ["on device", "preparing", "idle"].map((what) => [total / 3, what] as const),
    });
    const words = (seconds: number) => usageWords(thirds(seconds * 1000));
    expect(words(2)).toBe("2 s (1 s on device, 1 s preparing, 0 s idle)");
    expect(words(119.9)).toBe("1 min 59 s (40 s on device, 40 s preparing, 39 s idle)");
    expect(words(3660)).toBe("1 h 1 min (21 min on device, 20 min preparing, 20 min idle)");
    expect(words(25 * 3600)).toBe("1 d 1 h (9 h on device, 8 h preparing, 8 h idle)");
    const hour = {
      total: 7_230_000,
      parts: [[7_200_000, "idle"] as const, [30_000, "x"] as const],
    };
    expect(usageWords(hour)).toBe("2 h (2 h idle, 0 min x)");
    // The rest becomes its own part, and overlapping jobs cannot add up.
    const gap = { total: 9_000, parts: [[5_000, "on device"] as const] };
    expect(usageWords(gap)).toBe("9 s (5 s on device, 4 s other)");
    const overlap = {
      total: 3_000,
      parts: [[3_000, "on device"] as const, [2_000, "idle"] as const],
    };
    expect(usageWords(overlap)).toBe("3 s (3 s on device, 2 s idle)");
    for (let total = 1000; total < 3_600_000; total = Math.ceil(total * 1.0173)) {
      const { parts } = thirds(total);
      const said = usageWords({ total, parts });
      const seconds = [...said.matchAll(/(?:(\d+) min)?(?: ?(\d+) s)? (?=\(|on|prep|idle)/g)].map(
        ([, min, s]) => 60 * Number(min ?? 0) + Number(s ?? 0),
      );
      const [whole, ...each] = seconds;
      expect(each, said).toHaveLength(3);
      expect(
        each.reduce((sum, n) => sum + n, 0),
        said,
      ).toBe(whole);
    }
  });

  test("parts that stand still are shown as the same while another grows", () => {
    const sent = { on_device: 2.5, preparing: 2.6, idle: 35.46 };
    const job: JobSpec = { id: "a", status: "running", age: 30, waited: 10, stages: [10, 14] };
    const { tally } = jobList([job], NOW);
    const still = (ms: number) => {
      const usage = usageOf({ ...session, usage: sent }, tally, NOW + ms);
      return usage && usageWords(usage).replace(/^.* on device, /, "");
    };
    const shown = new Set(Array.from({ length: 40 }, (_, tenth) => still(tenth * 100)));
    expect(shown.size).toBe(1);
  });

  test("is split as the server says, and goes on where it is spent", () => {
    const sent = { on_device: 60, preparing: 5, idle: null };
    const parts = (stages: readonly number[], changes: Partial<Head> = {}) => {
      const job: JobSpec = { id: "a", status: "running", age: 30, waited: 10, stages };
      const { tally: one } = jobList([job], NOW);
      return usageOf({ ...session, usage: sent, ...changes }, one, NOW + 2000)?.parts;
    };
    const spent = (onDevice: number, preparing: number) => [
      [onDevice, "on device"],
      [preparing, "preparing"],
    ];
    // The server counts nothing of a running job before its end, however new its response is.
    expect(parts([10, 14])).toEqual(spent(78_000, 9_000));
    expect(parts([10])).toEqual(spent(60_000, 27_000));
    expect(parts([10, 14, 29])).toEqual(spent(75_000, 9_000));
    expect(parts([])).toEqual(spent(60_000, 5_000));
    expect(parts([10, 14], { mode: "batch" })).toEqual(spent(60_000, 5_000));
    const idle = { ...session, usage: { on_device: 60, preparing: 5, idle: 35 } };
    const usage = usageOf(idle, jobList(MIXED.slice(0, 4), NOW).tally, NOW + 1000);
    expect(usage && usageWords(usage)).toBe(
      "1 min 41 s (1 min on device, 5 s preparing, 36 s idle)",
    );
  });

  test("of a session that rests stands still", () => {
    const idle = { ...session, state: "inactive" };
    expect(usageOf(idle, tally, NOW + 10_000)?.total).toBe(100_000);
    expect(usageOf({ ...session, details_at: 0 }, tally, NOW + 10_000)?.total).toBe(100_000);
  });

  test("is only said where it is known", () => {
    expect(usageOf(head({ details: {} }), tally, NOW)).toBeNull();
    const ibm = jobList([{ id: "a", status: "completed" }], NOW).tally;
    expect(usageOf(session, ibm, NOW)).toEqual({ total: 100_000, parts: [] });
    const batch = usageOf({ ...session, mode: "batch" }, tally, NOW);
    expect(batch && usageWords(batch)).toBe("1 min 40 s");
  });
});

describe("which rows are in the page", () => {
  const total = (count: number, topRow: number, opened: number | null) => {
    const { first, last, above, below } = rowWindow(count, topRow, opened, DETAIL_HEIGHT);
    const open = opened !== null && opened >= first && opened < last ? DETAIL_HEIGHT : 0;
    return above + below + open + (last - first) * ROW_HEIGHT;
  };

  test("few rows are all there", () => {
    expect(rowWindow(3, 0, null, DETAIL_HEIGHT)).toEqual({ first: 0, last: 3, above: 0, below: 0 });
    expect(rowWindow(0, 0, null, DETAIL_HEIGHT)).toEqual({ first: 0, last: 0, above: 0, below: 0 });
  });

  test("of many only a window", () => {
    const { first, last } = rowWindow(10_000, 5000, null, DETAIL_HEIGHT);
    expect(first).toBeLessThanOrEqual(5000);
    expect(last).toBeGreaterThan(5010);
    expect(last - first).toBeLessThan(20);
  });

  test.each([null, 0, 4999, 5003, 9999])("the height never changes, opened: %s", (opened) => {
    const height = 10_000 * ROW_HEIGHT + (opened === null ? 0 : DETAIL_HEIGHT);
    for (const topRow of [0, 2, 4998, 5000, 9990, 12_000]) {
      expect(total(10_000, topRow, opened)).toBe(height);
    }
  });
});

describe("what answers a command", () => {
  const first = reader(new FakeModel(live()))();
  const changed = (changes: Parameters<typeof live>[0]) => reader(new FakeModel(live(changes)))();

  test("a beat does not", () => {
    const beaten = changed({ beat: { n: 2, now: NOW, rate: 1, every: 1 } });
    expect(isAnswered(sent({ do: "close" }, first, 1, NOW), beaten)).toBe(false);
  });

  test("its own answer does, and no other", () => {
    const [close, other] = [
      sent({ do: "close" }, first, 1, NOW),
      sent({ do: "close" }, first, 1, NOW),
    ];
    const answered = changed({ commands: { heard: [], done: [close.message.ref] } });
    expect([close, other].map((each) => isAnswered(each, answered))).toEqual([true, false]);
  });

  test("a question is answered elsewhere: here it is only heard", () => {
    const peek = sent({ do: "peek", job_id: "x" }, first, 1, NOW);
    expect(isAnswered(peek, first)).toBe(false);
    const heard = changed({ commands: { heard: [peek.message.ref], done: [] } });
    expect(isAnswered(peek, heard)).toBe(true);
  });

  test("what is not heard for a while waits for a cell", () => {
    const close = sent({ do: "close" }, first, 1, NOW);
    expect(isUnheard(close, first, 4, NOW + 3000)).toBe(false);
    expect(isUnheard(close, first, 4, NOW + 3001)).toBe(true);
    // A long round has not reported it yet.
    expect(isUnheard(close, first, 2, NOW + 3001)).toBe(false);
    const troubled = changed({ link: link({ state: "retrying" }) });
    expect(isUnheard(close, troubled, 4, NOW + 3001)).toBe(false);
    const heard = changed({ commands: { heard: [close.message.ref], done: [] } });
    expect(isUnheard(close, heard, 60, NOW + 60_000)).toBe(false);
  });

  test("the session's new state does", () => {
    const draining = changed({ head: head({ status: DRAINING, accepting_jobs: false }) });
    expect(isAnswered(sent({ do: "cancel" }, first, 1, NOW), draining)).toBe(true);
  });

  test("only its own job's state does", () => {
    const cancelled = (index: number) =>
      changed(
        jobTraits(MIXED.map((job, i) => (i === index ? { ...job, status: "cancelled" } : job))),
      );
    const command = sent({ do: "cancel_job", job_id: MIXED[6]?.id ?? "" }, first, 1, NOW);
    expect(isAnswered(command, cancelled(5))).toBe(false);
    expect(isAnswered(command, cancelled(6))).toBe(true);
  });
});

test("the question says what will happen to how many jobs", () => {
  const counts = { queued: 2, running: 1, completed: 5, failed: 0, cancelled: 0, unknown: 0 };
  expect(consequence("close", counts)).toBe(
    "Takes no new jobs; 2 queued and 1 running job finish.",
  );
  expect(consequence("close", { ...counts, queued: 0 })).toBe(
    "Takes no new jobs; 0 queued and 1 running job finishes.",
  );
  expect(consequence("cancel_queued", counts)).toBe(
    "2 queued jobs are cancelled, 1 running job goes on, and new jobs are still taken.",
  );
  expect(consequence("cancel", counts)).toBe(
    "2 queued jobs are cancelled, 1 running job finishes, no new jobs.",
  );
});
