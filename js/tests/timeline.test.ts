import { describe, expect, test } from "vitest";
import { page, userEvent } from "vitest/browser";
import { BINS, cover, jobsAt, merge, ticksOf, timelineOf } from "../src/view/jobs/timeline";
import { draw } from "./draw";
import { head, jobList, jobTraits, live, MIXED, manyJobs, STATES } from "./fixtures";

const NOW = Date.UTC(2026, 0, 5, 12, 0, 0);
const ago = (seconds: number) => NOW - seconds * 1000;
const stamp = (status: string, seconds: number) => ({
  status,
  timestamp: new Date(ago(seconds)).toISOString(),
});

test("spans that touch are one", () => {
  expect(
    merge([
      [5, 6],
      [1, 2],
      [2, 3],
      [9, 8],
    ]),
  ).toEqual([
    [1, 3],
    [5, 6],
  ]);
  expect(
    merge(
      [
        [1, 2],
        [4, 5],
      ],
      2,
    ),
  ).toEqual([[1, 5]]);
});

describe("the course of a session", () => {
  const jobs = jobList(
    [
      { id: "a", status: "completed", age: 100, waited: 10, ran: 20 },
      { id: "b", status: "running", age: 40, waited: 10 },
      { id: "c", status: "queued", age: 5 },
      { id: "d", status: "cancelled", age: 4 },
    ],
    NOW,
  );
  const session = (changes: object = {}) =>
    head({ details: { timestamps: [stamp("open", 110), stamp("active", 90)], ...changes } }, NOW);
  const course = (of: ReturnType<typeof session>, list = jobs) => timelineOf(of, list, NOW);
  const states = (of: ReturnType<typeof session>) =>
    course(of)?.session.map(({ word, span }) => [word, ...span]);

  test("has the session's states, of which idle is what no job used", () => {
    expect(states(session())).toEqual([
      ["Waiting", ago(110), ago(90)],
      ["Running", ago(90), ago(70)],
      ["Idle (paid)", ago(70), ago(30)],
      ["Running", ago(30), NOW],
    ]);
    const rested = [stamp("active", 90), stamp("inactive", 60), stamp("active", 30)];
    expect(states(session({ timestamps: rested }))).toEqual([
      ["Running", ago(90), ago(70)],
      ["Idle (paid)", ago(70), ago(60)],
      ["Inactive", ago(60), ago(30)],
      ["Running", ago(30), NOW],
    ]);
  });

  test("tells the stages of a job apart where they are known", () => {
    const staged = jobList(
      [
        { id: "a", status: "completed", age: 100, waited: 10, ran: 20, stages: [10, 12, 29] },
        { id: "b", status: "running", age: 40, waited: 10, stages: [10] },
        { id: "c", status: "completed", age: 60, waited: 1, ran: 2 },
      ],
      NOW,
    );
    const found = course(session(), staged);
    const width = ((found?.to ?? 0) - (found?.from ?? 0)) / BINS / 1000;
    const seconds = (values: readonly number[] | undefined) =>
      (values ?? []).reduce((sum, value) => sum + value, 0) * width;
    expect(seconds(found?.jobs.preparing)).toBeCloseTo(2 + 30, 3);
    expect(seconds(found?.jobs.device)).toBeCloseTo(17, 3);
    expect(seconds(found?.jobs.finishing)).toBeCloseTo(1, 3);
    expect(seconds(found?.jobs.running)).toBeCloseTo(2, 3);
    expect(seconds(found?.waiting)).toBeCloseTo(10 + 10 + 1, 3);
  });

  test("counts what happened at a time, and names the job", () => {
    expect(jobsAt(jobs, ago(35), NOW)).toEqual({ waiting: 1, running: 0, id: null });
    expect(jobsAt(jobs, ago(1), NOW)).toEqual({ waiting: 1, running: 1, id: "b" });
  });

  test("does not guess", () => {
    const batch = { ...session(), mode: "batch" } as const;
    expect(states(batch)?.map(([word]) => word)).toEqual(["Waiting", "Running", "Idle", "Running"]);
    expect(
      timelineOf(head({ details: {} }), jobList([{ id: "a", status: "completed" }]), NOW),
    ).toBeNull();
    expect(states(session({ timestamps: "no list" }))).toEqual([]);
    const untimed = jobList([{ id: "a", status: "completed" }], NOW);
    expect(course(session(), untimed)?.session.map(({ word }) => word)).toEqual([
      "Waiting",
      "Running",
    ]);
  });

  test("of 10,000 jobs is drawn in few parts", () => {
    const many = course(session(), jobList(manyJobs(10_000), NOW));
    expect(many?.session.length).toBeLessThanOrEqual(200);
    expect(many?.waiting).toHaveLength(BINS);
    expect(Math.max(...(many?.waiting ?? []))).toBeLessThanOrEqual(10_000);
  });
});

test("an axis has few round times", () => {
  const seconds = (length: number) => ticksOf({ from: NOW, to: NOW + length * 1000 });
  expect(seconds(240).map((at) => (at - NOW) / 1000)).toEqual([0, 60, 120, 180]);
  for (const length of [3, 50, 500, 9_000, 80_000, 400_000]) {
    expect(seconds(length).length).toBeGreaterThan(1);
    expect(seconds(length).length).toBeLessThan(8);
  }
  expect(seconds(1e9)).toEqual([]);
});

test("a cover is the mean number of spans in each part", () => {
  expect(cover([[0, BINS]], 0, BINS)).toEqual(new Array(BINS).fill(1));
  const half = cover(
    [
      [0, BINS],
      [10, 10.5],
      [-5, 2],
    ],
    0,
    BINS,
  );
  expect([half[0], half[1], half[2], half[10], half[11]]).toEqual([2, 2, 1, 1.5, 1]);
});

describe("the timeline", () => {
  test("is read by pointer and by keys", async () => {
    draw(live());
    await page.getByTestId("qsw-tab-timeline").click();
    const at = page.getByTestId("qsw-timeline-at");
    await expect.element(at).toHaveTextContent("2 jobs waiting, 1 running");
    (page.getByRole("slider").element() as HTMLElement).focus();
    await userEvent.keyboard("{Home}");
    await expect.element(at).toHaveTextContent("0 running");
    await expect.element(page.getByRole("slider")).toHaveAttribute("aria-valuenow", "0");
    await userEvent.keyboard("{End}{ArrowLeft}{Enter}");
    await expect.element(page.getByRole("region", { name: `Job ${MIXED[4]?.id}` })).toBeVisible();
  });

  test("says so where nothing is known", async () => {
    draw(live({ ...jobTraits([{ id: "a", status: "completed" }]), head: head({ details: {} }) }));
    await page.getByTestId("qsw-tab-timeline").click();
    await expect.element(page.getByText("has not said when")).toBeVisible();
  });

  test("bears what is no history", async () => {
    draw(STATES.hostile?.() ?? {});
    await page.getByTestId("qsw-tab-timeline").click();
    await expect.element(page.getByTestId("qsw-timeline-at")).toBeVisible();
  });
});
