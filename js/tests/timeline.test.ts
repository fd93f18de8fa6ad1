import { describe, expect, test } from "vitest";
import { page, userEvent } from "vitest/browser";
import { countsAt, merge, timelineOf, without } from "../src/view/jobs/timeline";
import { draw } from "./draw";
import { head, jobList, jobTraits, live, manyJobs, STATES } from "./fixtures";

const NOW = Date.UTC(2026, 0, 5, 12, 0, 0);
const ago = (seconds: number) => NOW - seconds * 1000;
const stamp = (status: string, seconds: number) => ({
  status,
  timestamp: new Date(ago(seconds)).toISOString(),
});

test("spans that touch are one, and are taken from each other", () => {
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
  expect(
    without(
      [[0, 10]],
      [
        [2, 3],
        [5, 20],
      ],
    ),
  ).toEqual([
    [0, 2],
    [3, 5],
  ]);
  expect(without([[0, 1]], [[0, 1]])).toEqual([]);
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
  const lanes = (of: ReturnType<typeof session>) =>
    Object.fromEntries(
      timelineOf(of, jobs, NOW)?.lanes.map(({ name, spans }) => [name, spans]) ?? [],
    );

  test("has a lane for each thing that is known", () => {
    expect(lanes(session())).toEqual({
      waiting: [
        [ago(100), ago(90)],
        [ago(40), ago(30)],
        [ago(5), NOW],
      ],
      running: [
        [ago(90), ago(70)],
        [ago(30), NOW],
      ],
      idle: [[ago(70), ago(30)]],
    });
    const rested = [stamp("active", 90), stamp("inactive", 60), stamp("active", 30)];
    expect(lanes(session({ timestamps: rested }))).toMatchObject({
      idle: [[ago(70), ago(60)]],
      inactive: [[ago(60), ago(30)]],
    });
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
    const found = timelineOf(session(), staged, NOW)?.lanes ?? [];
    expect(found.map(({ name, spans }) => [name, spans])).toEqual([
      [
        "waiting",
        [
          [ago(100), ago(90)],
          [ago(60), ago(59)],
          [ago(40), ago(30)],
        ],
      ],
      [
        "preparing",
        [
          [ago(90), ago(88)],
          [ago(30), NOW],
        ],
      ],
      ["device", [[ago(88), ago(71)]]],
      ["finishing", [[ago(71), ago(70)]]],
      ["running", [[ago(59), ago(57)]]],
      [
        "idle",
        [
          [ago(70), ago(59)],
          [ago(57), ago(30)],
        ],
      ],
    ]);
  });

  test("counts what happened at a time", () => {
    expect(countsAt(jobs, ago(35), NOW)).toEqual([1, 0]);
    expect(countsAt(jobs, ago(1), NOW)).toEqual([1, 1]);
  });

  test("does not guess", () => {
    const batch = { ...session(), mode: "batch" } as const;
    expect(lanes(batch)).not.toHaveProperty("idle");
    expect(
      timelineOf(head({ details: {} }), jobList([{ id: "a", status: "completed" }]), NOW),
    ).toBeNull();
    expect(lanes(session({ timestamps: "no list" }))).not.toHaveProperty("idle");
  });

  test("of 10,000 jobs is drawn in few spans", () => {
    const many = timelineOf(session(), jobList(manyJobs(10_000), NOW), NOW);
    expect(many?.lanes.every(({ spans }) => spans.length <= 500)).toBe(true);
  });
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
