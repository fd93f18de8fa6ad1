import { Notification as Notices } from "@jupyterlab/apputils";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import schema from "../schema/notices.json";
import type { Command, Head, Link, Traits } from "../src/contract";
import { BusyKernels } from "../src/lab/busy";
import { KINDS } from "../src/lab/events";
import { DEFAULTS, SessionNotices } from "../src/lab/notices";
import { registry, reportSent } from "../src/registry";
import { named } from "../src/view/state/pending";
import widget from "../src/view/widget";
import { FakeModel } from "./fake-model";
import { head, jobTraits, live, MIXED } from "./fixtures";
import golden from "./golden/server-sessions.json";
import { Page } from "./lab";

beforeEach(() => {
  vi.useFakeTimers();
  Notices.dismiss();
});

afterEach(() => {
  vi.useRealTimers();
});

function shown(page = new Page()): SessionNotices {
  const notices = new SessionNotices(page.sessions, () => {});
  onTestFinished(() => notices.dispose());
  return notices;
}

function open(traits: Partial<Traits> = {}): FakeModel {
  const model = new FakeModel(live(traits));
  onTestFinished(widget.initialize({ model }));
  return model;
}

/** A round of the kernel's polling thread. */
function next(model: FakeModel, changes: Partial<Head>, more: Partial<Traits> = {}): void {
  model.receive({ head: { ...(model.get("head") ?? head()), ...changes }, ...more });
  model.beat();
}

const texts = () => Notices.manager.notifications.map(({ message }) => message).reverse();
const waiting = jobTraits([{ id: "j1", status: "queued", age: 1 }]);

test("the life of a session is told, each event once", () => {
  shown();
  const model = open({ head: head({ name: "H2", state: "open", countdowns: [] }), ...waiting });
  const second = open({ head: head({ name: "H2", state: "open", countdowns: [] }), ...waiting });
  expect(texts()).toEqual([]);
  for (let second = 0; second < 12; second++) {
    vi.advanceTimersByTime(1000);
    model.beat();
  }
  const ends = Date.now() + 6 * 60_000;
  const countdowns = [{ kind: "max", label: "Time left", ends, total: 600_000 } as const];
  next(model, { state: "active", countdowns });
  expect(texts()).toEqual(["H2 is active."]);
  const why = { parts: ["It had no job for 60 s."], fields: [], document: "" };
  next(model, { state: "inactive", why });
  expect(texts().at(-1)).toBe("H2 is inactive. It had no job for 60 s.");
  for (let minute = 0; minute < 60; minute++) {
    vi.advanceTimersByTime(2000);
    model.beat();
  }
  expect(texts().at(-1)).toBe("H2 ends in 5 min at the latest.");
  const closed = {
    state: "closed",
    status: "Closed",
    why: { ...why, parts: ["Its time is over."] },
  };
  next(model, closed);
  next(second, closed);
  next(model, closed);
  expect(texts().at(-1)).toBe("H2 is closed. Its time is over.");
  expect(texts()).toHaveLength(4);
  expect(Notices.manager.notifications.map(({ type }) => type).reverse()).toEqual([
    "info",
    "warning",
    "warning",
    "info",
  ]);
});

test("what the user has just done is not told", () => {
  const page = new Page(() => [204, null]);
  shown(page);
  const model = open({ head: head({ state: "open", countdowns: [] }), ...waiting });
  // A job that starts at once.
  next(model, { state: "active" });
  next(model, { state: "closed", status: "Closed", ended_here: true });
  const other = open({ head: head({ key: "k2", session_id: "d4" }) });
  page.sessions.closedHere.add("d4");
  next(other, { state: "closed", status: "Closed" });
  expect(texts()).toEqual([]);
});

test("nothing is told of what was there when the page was opened, or of old notebooks", () => {
  shown();
  const soon = Date.now() + 60_000;
  const countdowns = [{ kind: "max", label: "Time left", ends: soon, total: 600_000 } as const];
  const model = open({ head: head({ countdowns }) });
  vi.advanceTimersByTime(1000);
  model.beat();
  const stale = { n: 1, now: Date.now() - 86_400_000, rate: 1, every: 1 };
  open({ head: head({ key: "k2", session_id: null, state: "inactive" }), beat: stale });
  vi.advanceTimersByTime(2000);
  expect(texts()).toEqual([]);
});

test("failed jobs are told, several at once as one", () => {
  shown();
  const model = open();
  const jobs = (...failed: string[]) => [
    ...MIXED,
    ...failed.map((id) => ({ id, status: "failed", age: 1, reason: "It is too wide." }) as const),
  ];
  model.receive(jobTraits(jobs("j8")));
  model.receive(jobTraits(jobs("j8")));
  expect(texts()).toEqual(["Job j8 of fake_manila failed: It is too wide."]);
  model.receive(jobTraits(jobs("j8", "j9", "j10")));
  expect(texts().at(-1)).toBe("2 jobs of fake_manila failed.");
  expect(texts()).toHaveLength(2);
});

test("each kind can be switched off", () => {
  const notices = shown();
  for (const kind of KINDS) {
    expect(schema.properties[kind].default).toBe(true);
  }
  expect(schema.properties.endsSoonMinutes.default).toBe(DEFAULTS.minutes);
  expect(schema.properties.browser.default).toBe(DEFAULTS.browser);
  notices.wanted = { ...DEFAULTS, kinds: new Set(["inactive"]) };
  const model = open();
  next(model, { state: "inactive", why: null });
  next(model, { state: "closed", status: "Closed" });
  expect(texts()).toEqual(["fake_manila is inactive."]);
});

const ID = golden.session.session_id;

/** A page whose server lists the golden sessions, with the panel of one of them. */
async function busy(status = 204) {
  const page = new Page((path) => {
    const { runtime, sessions } = golden.sessions;
    return path === "sessions"
      ? [200, { runtime: { ...runtime, now: Date.now() }, sessions }]
      : [status, { message: "The job has ended." }];
  });
  const kernels = new BusyKernels(page.sessions);
  onTestFinished(() => kernels.dispose());
  const model = open({ head: head({ session_id: ID }) });
  await vi.advanceTimersByTimeAsync(20_000);
  const send = (command: Command) => {
    const message = named(command);
    model.send(message);
    reportSent(model, message);
  };
  const posts = () => page.asked.filter((each) => each.startsWith("POST"));
  return { model, send, posts };
}

test("a busy kernel's commands are carried out by the server", async () => {
  const { model, send, posts } = await busy();
  send({ do: "cancel_job", job_id: "j1" });
  await vi.advanceTimersByTimeAsync(3000);
  expect(posts()).toEqual(["POST jobs/j1/cancel"]);
  send({ do: "cancel_jobs", job_ids: ["j2", "j3"] });
  send({ do: "cancel_queued" });
  send({ do: "peek", job_id: "j1" });
  await vi.advanceTimersByTimeAsync(3000);
  expect(posts().slice(1)).toEqual([
    "POST jobs/j2/cancel",
    "POST jobs/j3/cancel",
    `POST sessions/${ID}/cancel-queued`,
  ]);
  send({ do: "close" });
  await vi.advanceTimersByTimeAsync(3000);
  expect(posts().at(-1)).toBe(`POST sessions/${ID}/close`);
  expect(model.sent).toHaveLength(5);
  expect(texts()).toEqual([]);
});

test("a kernel that hears does everything itself", async () => {
  const { model, send, posts } = await busy();
  send({ do: "close" });
  model.hear();
  await vi.advanceTimersByTimeAsync(3000);
  expect(posts()).toEqual([]);
});

test("what the server refuses is said", async () => {
  const { send } = await busy(409);
  send({ do: "cancel_job", job_id: "j1" });
  await vi.advanceTimersByTimeAsync(3000);
  expect(texts()).toEqual(["The job has ended."]);
});

test("a session that the server does not list is left to its kernel", async () => {
  const { posts } = await busy();
  const model = open({ head: head({ key: "k9", session_id: "unlisted" }) });
  reportSent(model, named({ do: "close" }));
  await vi.advanceTimersByTimeAsync(3000);
  expect(posts()).toEqual([]);
  expect(registry().entries.size).toBe(2);
});

test("the panel of a kernel with an older wheel has a card, and its events are told", () => {
  const page = new Page();
  shown(page);
  const old = {
    key: "k7",
    session_id: "d7",
    backend_name: "fake_lima",
    simulator: false,
    mode: "dedicated",
    status: "Pending",
    state: "open",
    accepting_jobs: true,
    details: {},
    countdowns: [],
  } as unknown as Head;
  const model = new FakeModel({
    head: old,
    beat: { n: 1, now: Date.now(), rate: 1, every: 1 },
    link: { state: "live", error: null, since: Date.now() } as Link,
  });
  onTestFinished(widget.initialize({ model }));
  expect(page.sessions.cards().map(({ id }) => id)).toContain("d7");
  next(model, { state: "inactive" });
  expect(texts()).toEqual(["fake_lima is inactive."]);
  next(model, { state: "closed", status: "Closed" });
  expect(texts().at(-1)).toBe("fake_lima is closed.");
});
