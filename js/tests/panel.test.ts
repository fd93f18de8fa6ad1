import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { page, userEvent } from "vitest/browser";
import type { Active, Command } from "../src/contract";
import { CAN_SHOW, registry, SHOW } from "../src/registry";
import { mount } from "../src/view/mount";
import { draw } from "./draw";
import { FakeModel } from "./fake-model";
import {
  ACCEPTING,
  DRAINING,
  HOSTILE,
  head,
  jobTraits,
  link,
  live,
  MIXED,
  STATES,
} from "./fixtures";

const close = page.getByTestId("qsw-close");
const cancel = page.getByTestId("qsw-cancel");
const cancelQueued = page.getByTestId("qsw-cancel-queued");
const confirm = page.getByTestId("qsw-confirm");
const dismiss = page.getByTestId("qsw-dismiss-confirm");
const linkBadge = page.getByTestId("qsw-link");
const status = page.getByTestId("qsw-status");
const menu = page.getByTestId("qsw-menu");
const details = page.getByTestId("qsw-tab-details");
const notice = page.getByTestId("qsw-notice");

const state = (name: string) => STATES[name]?.() ?? {};

afterEach(() => {
  vi.useRealTimers();
});

test.each(Object.keys(STATES))("draws %s and goes without a trace", (name) => {
  const element = document.createElement("div");
  const model = new FakeModel(state(name));
  const unmount = mount(model, element);
  expect(element.querySelector("[data-testid=qsw-panel]")).not.toBeNull();
  unmount();
  expect(element.childElementCount).toBe(0);
  expect(model.listenerCount).toBe(0);
});

describe("a live session", () => {
  test("shows what it is and how it is", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { model, element } = draw(live());
    await expect.element(status).toHaveTextContent(/^Running$/);
    expect(status.element().getAttribute("title")).toBe(
      `In the API: state "active", status "${ACCEPTING}"`,
    );
    // Nothing shows yet that the host forwards updates.
    await expect.element(linkBadge).toHaveTextContent("connecting");
    // The first may answer the messages that every new view sends.
    model.beat();
    await expect.element(linkBadge).toHaveTextContent("connecting");
    vi.advanceTimersByTime(2000);
    model.beat();
    await expect.element(linkBadge).toHaveTextContent("live");
    await expect
      .element(page.getByTestId("qsw-figure"))
      .toHaveTextContent(/^7:51:\d\d of 8 h left$/);
    await expect
      .element(page.getByTestId("qsw-progress"))
      .toHaveTextContent("done 2running 1queued 21 failed · 1 cancelled");
    await expect.element(close).toBeEnabled();
    expect(element.querySelectorAll(".qsw-main button")).toHaveLength(1);
  });

  test("shows all details with their units", async () => {
    draw(live());
    await details.click();
    const shown = page.getByTestId("qsw-details");
    await expect.element(shown).toHaveTextContent("Session idd3k1emq0v6qs73a8qzz0");
    await expect.element(shown).toHaveTextContent("Maximum time8 h (28800 s)");
    await expect.element(shown).toHaveTextContent("Accepts jobsyes");
    await expect.element(shown).toHaveTextContent("Closed–");
    await expect.element(shown).toHaveTextContent(/Usage1 min 19 s/);
    await expect.element(shown).toHaveTextContent("Modededicated");
    await expect.element(shown).toHaveTextContent(/HistoryWaiting 8 min agoRunning 8 min ago/);
    await expect.element(shown).toHaveTextContent('In the APIstate "active"');
    expect(shown.element().querySelector("time")?.title).not.toBe("");
  });

  test("explains itself, with its source", async () => {
    const { element } = draw(live());
    await expect.element(page.getByTestId("qsw-why")).toHaveTextContent(/A job runs since \d/);
    const source = element.querySelector<HTMLAnchorElement>(".qsw-sentence a");
    expect(source?.href).toBe("https://example.com/execution-modes");
    expect(source?.title).toBe("From state, mode");
  });

  test("tells of what has ended", async () => {
    const { model, element } = draw(live());
    const said = () => element.querySelector("[role=status]")?.textContent;
    expect(said()).toBe("Running");
    model.receive(
      jobTraits(MIXED.map((job, i) => (i === 4 ? { ...job, status: "completed" } : job))),
    );
    await expect.poll(said).toBe("1 job done");
  });

  test("tells only of a new session status", async () => {
    const { model, element } = draw(live());
    const announcer = element.querySelector("[role=status]");
    const changes: string[] = [];
    const observer = new MutationObserver(() => changes.push(announcer?.textContent ?? ""));
    observer.observe(announcer ?? element, { childList: true, characterData: true, subtree: true });
    model.beat();
    model.receive(jobTraits(MIXED.slice(0, 3)));
    await expect.element(page.getByTestId("qsw-progress")).toHaveTextContent("done 2running 0");
    expect(changes).toEqual([]);
    model.receive({ head: head({ status: DRAINING, accepting_jobs: false }) });
    await expect.poll(() => changes).toEqual(["Closing"]);
    expect(element.querySelectorAll("[role=status], [aria-live]")).toHaveLength(1);
  });

  test("says all that its service says", async () => {
    const { element } = draw(state("staged"));
    await expect.element(page.getByTestId("qsw-stage")).toHaveTextContent("on device");
    const estimate = page.getByTestId("qsw-estimate").last();
    await expect.element(estimate).toHaveTextContent(/≈ 1[67] s$/);
    expect(estimate.element().getAttribute("title")).toContain("12 jobs of this session");
    const pubs = element.querySelectorAll("td.qsw-pubs");
    expect(Array.from(pubs, (cell) => cell.textContent)).toEqual([
      "1",
      "1",
      "12",
      "3",
      "2",
      "2",
      "2",
    ]);
    await details.click();
    await expect
      .element(page.getByTestId("qsw-usage"))
      .toHaveTextContent(/ on device, 3 s preparing, 35 s idle\)$/);
    await expect
      .element(page.getByTestId("qsw-cache"))
      .toHaveTextContent("31 hits, 4 missed, 12.7 s saved");
  });

  test("says nothing that its service does not", () => {
    const { element } = draw(live());
    for (const name of ["stage", "estimate", "cache", "clock"]) {
      expect(element.querySelector(`[data-testid=qsw-${name}]`)).toBeNull();
    }
    expect(element.querySelector("td.qsw-pubs")?.textContent).toBe("–");
  });

  test("copies its id", async () => {
    const written = vi.spyOn(navigator.clipboard, "writeText").mockResolvedValue();
    draw(live());
    await menu.click();
    await page.getByTestId("qsw-copy").click();
    await expect.element(page.getByTestId("qsw-copy")).toHaveTextContent("Session id copied");
    await expect.element(page.getByTestId("qsw-copy")).not.toBeVisible();
    await expect.element(menu).toHaveFocus();
    await details.click();
    await page.getByTestId("qsw-copy-id").click();
    expect(written.mock.calls).toEqual([["d3k1emq0v6qs73a8qzz0"], ["d3k1emq0v6qs73a8qzz0"]]);
    await expect.element(page.getByLabelText("Session id copied")).toBeVisible();
  });
});

test("who looks is told to the kernel, again and again, and no more when gone", async () => {
  vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"] });
  const element = document.body.appendChild(document.createElement("div"));
  const model = new FakeModel(live());
  const unmount = mount(model, element);
  await expect.poll(() => model.looks).toBe(1);
  vi.advanceTimersByTime(60_000);
  expect(model.looks).toBeGreaterThanOrEqual(4);
  unmount();
  element.remove();
  await expect.poll(() => vi.getTimerCount()).toBe(0);
});

test("a simulator has jobs and no session to close", async () => {
  draw(state("simulator"));
  await expect.element(status).toHaveTextContent("Simulator");
  await expect.element(page.getByTestId("qsw-figure")).toHaveTextContent("2 jobs done");
  await expect.element(close).not.toBeInTheDocument();
  await expect.element(cancel).not.toBeInTheDocument();
  await expect.element(page.getByTestId("qsw-cancel-job").first()).toBeEnabled();
});

describe("without jobs", () => {
  test("says how to get some", async () => {
    draw(state("empty"));
    await expect.element(page.getByText("No jobs yet")).toBeVisible();
  });

  test("does not claim so before it knows", async () => {
    draw(state("connecting"));
    await expect.element(page.getByText("Waiting for the first answer")).toBeVisible();
    await expect.element(close).toBeDisabled();
  });
});

describe("a connection that fails", () => {
  test("goes stale in silence and comes back with a beat", async () => {
    vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"] });
    const { model } = draw(live());
    vi.advanceTimersByTime(2000);
    model.beat();
    await expect.element(linkBadge).toHaveTextContent("live");
    vi.advanceTimersByTime(12_000);
    await expect.element(linkBadge).toHaveTextContent("no connection: last seen 12 s ago");
    await expect.element(close).toHaveAttribute("aria-disabled", "true");
    await expect.element(cancel).toHaveAttribute("aria-disabled", "true");
    await expect.element(page.getByTestId("qsw-cancel-job").first()).toBeDisabled();
    model.beat();
    await expect.element(linkBadge).toHaveTextContent("live");
    await expect.element(close).toBeEnabled();
  });

  test("counts on only while someone counts", async () => {
    vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"] });
    const { element } = draw(live(jobTraits([{ id: "r", status: "running", age: 5, waited: 1 }])));
    const cell = () => element.querySelector("td.qsw-length:not(.qsw-wide)")?.textContent;
    await expect.poll(cell).toBe("4.0 s");
    vi.advanceTimersByTime(2000);
    await expect.poll(cell).toMatch(/^6/);
    vi.advanceTimersByTime(60_000);
    await expect.poll(cell).toBe("4.0 s");
  });

  test.each([
    [0, "stands still until it is moved", "10:00 of 10 min left"],
    [60, "60 times as fast", "06:00 of 10 min left"],
  ])("follows a clock that goes %i times as fast", (rate, words, left) => {
    vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"] });
    const noon = Date.UTC(2026, 0, 5, 12, 0, 0);
    const ends = { kind: "max", label: "Time left", ends: noon + 600_000, total: 600_000 } as const;
    const beat = { n: 1, at: Date.now() - 4000, now: noon, rate, every: 5 };
    const { element } = draw(live({ head: head({ countdowns: [ends] }), beat }));
    const shown = (name: string) => element.querySelector(`[data-testid=${name}]`)?.textContent;
    expect(shown("qsw-figure")).toBe(left);
    expect(shown("qsw-clock")).toContain(words);
  });

  test("a dead comm shows at once", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { model } = draw(live());
    model.emit("comm_live_update");
    await expect.element(linkBadge).toHaveTextContent("kernel gone: last seen");
    vi.advanceTimersByTime(2000);
    model.beat();
    await expect.element(linkBadge).toHaveTextContent("live");
  });

  test("a browser without a network says so", async () => {
    vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
    draw(state("stale"));
    await expect.element(linkBadge).toHaveTextContent("browser offline: last seen 12 s ago");
    vi.restoreAllMocks();
  });

  test("old state from a saved notebook is not live", async () => {
    draw(state("stale"));
    await expect.element(linkBadge).toHaveTextContent("no connection: last seen 12 s ago");
    await expect.element(close).toHaveAttribute("aria-disabled", "true");
  });

  test("shows why it tries again, and can be asked to", async () => {
    const { model } = draw(state("retrying"));
    await expect.element(linkBadge).toHaveTextContent("retrying");
    await expect
      .element(page.getByTestId("qsw-link-error"))
      .toHaveTextContent(
        /No answer since 1 min ago: .*503 Service Unavailable.*Next try in [78] s/,
      );
    await page.getByTestId("qsw-refresh-now").click();
    expect(model.sent).toEqual([{ do: "refresh", all: false }]);
  });

  test("is not called live before an update has come, however long the kernel rests", async () => {
    vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"] });
    const now = Date.now();
    const { model } = draw(live({ beat: { n: 1, at: now, now, rate: 1, every: 10 } }));
    await expect.element(linkBadge).toHaveTextContent("connecting");
    vi.advanceTimersByTime(5000);
    await expect.element(linkBadge).toHaveTextContent("no connection: last seen 5 s ago");
    await expect.element(page.getByTestId("qsw-refresh-now")).toBeVisible();
    model.beat();
    await expect.element(linkBadge).toHaveTextContent("live");
    vi.advanceTimersByTime(20_000);
    await expect.element(linkBadge).toHaveTextContent("live");
  });

  test("where nothing comes by itself, it is asked for", async () => {
    vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"] });
    const { model } = draw(state("stale"));
    const refresh = page.getByTestId("qsw-refresh-now");
    await refresh.click();
    expect(model.sent).toEqual([{ do: "refresh", all: true }]);
    model.beat();
    await expect.element(linkBadge).toHaveTextContent(/^as of \d/);
    await expect.element(cancel).toHaveAttribute("aria-disabled", "false");
    await expect.element(refresh).toBeVisible();
    // An answer brings several beats, one right after the other.
    model.beat();
    model.hear();
    vi.advanceTimersByTime(24);
    model.beat();
    // To look would bring another one, which would look like an update.
    expect(model.looks).toBe(0);
    vi.advanceTimersByTime(29_000);
    await expect.element(linkBadge).toHaveTextContent(/^as of \d/);
    await expect.element(cancel).toHaveAttribute("aria-disabled", "false");
    vi.advanceTimersByTime(2000);
    await expect.element(linkBadge).toHaveTextContent(/^no live updates/);
    await expect.element(cancel).toHaveAttribute("aria-disabled", "true");
    // A host that sends an update by itself forwards what the kernel says.
    model.beat();
    await expect.element(linkBadge).toHaveTextContent("live");
    await expect.element(refresh).not.toBeInTheDocument();
  });

  test("where nothing comes by itself, a command is followed by a refresh", async () => {
    const { model } = draw(state("stale"));
    await page.getByTestId("qsw-refresh-now").click();
    model.hear();
    model.beat();
    await expect.element(cancel).toHaveAttribute("aria-disabled", "false");
    await page.getByTestId("qsw-cancel-job").first().click();
    expect(model.sent.slice(1)).toEqual([
      { do: "cancel_job", job_id: "d3k1f2s0v6qs73a8r0g7" },
      { do: "refresh", all: true },
    ]);
    model.beat();
    await expect.element(linkBadge).toHaveTextContent(/^as of \d/);
  });

  test("where updates come, a command is not followed by anything", async () => {
    const { model } = draw(live());
    model.beat();
    await page.getByTestId("qsw-cancel-job").first().click();
    expect(model.sent).toHaveLength(1);
  });

  test("a failure is as old as it is for the kernel, whatever the browser's clock says", async () => {
    const at = Date.now() - 864e5;
    const beat = { n: 2, at, now: at, rate: 1, every: 1 };
    const { model } = draw(live());
    const failing = link({ state: "retrying", error: "503", since: at - 65_000 });
    model.receive({ link: failing, beat });
    await expect
      .element(page.getByTestId("qsw-link-error"))
      .toHaveTextContent(/No answer since 1 min ago/);
  });

  test("state of a notebook saved long ago has its time", async () => {
    draw(state("saved"));
    await expect.element(linkBadge).toHaveTextContent(/^no connection: as of .*\d/);
  });

  test.each([
    ["saved", /^saved as of .*\d/],
    ["ended", "final state"],
    ["waiting", /^saved as of .*\d/],
    ["virtual", /^saved as of .*\d/],
  ])("without a kernel, %s has its time and nothing to press", async (name, words) => {
    const old = { n: 9, now: Date.now() - 864e5, rate: name === "virtual" ? 0 : 1, every: 1 };
    const { model, element } = draw({ ...state(name), beat: old }, { hasKernel: false });
    await expect.element(linkBadge).toHaveTextContent(words);
    for (const id of [
      ...["refresh", "refresh-now", "close", "cancel", "cancel-queued", "cancel-job"],
      ...["close-holder", "advance"],
    ]) {
      expect(element.querySelector(`[data-testid=qsw-${id}]`), id).toBeNull();
    }
    expect(element.querySelector("input[type=checkbox]")).toBeNull();
    await page.getByTestId("qsw-open").first().click();
    await expect.element(page.getByText("cannot be fetched")).toBeVisible();
    expect(model.sent).toEqual([]);
    // A kernel that comes after all.
    model.emit("msg:custom", { here: true });
    await expect
      .element(page.getByTestId(name === "ended" ? "qsw-refresh" : "qsw-refresh-now"))
      .toBeInTheDocument();
  });
});

test("an ended session is closed, silent and not stale", async () => {
  vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"] });
  draw(state("ended"));
  vi.advanceTimersByTime(3_600_000);
  await expect.element(linkBadge).toHaveTextContent("final state");
  await expect.element(status).toHaveTextContent("Closed");
  await expect.element(close).not.toBeInTheDocument();
  await expect.element(cancel).toHaveAttribute("aria-disabled", "true");
  await expect.element(page.getByTestId("qsw-cancel-job")).not.toBeInTheDocument();
});

/** Asks for an action, which is in the menu unless it is the first one. */
async function choose(action: typeof close): Promise<void> {
  if (action !== close) {
    await menu.click();
  }
  await action.click();
}

describe("closing and cancelling", () => {
  test.each([
    [close, { do: "close" }, "Takes no new jobs; 2 queued and 1 running job finish."],
    [cancel, { do: "cancel" }, "2 queued jobs are cancelled, 1 running job finishes, no new jobs."],
    [
      cancelQueued,
      { do: "cancel_queued" },
      "2 queued jobs are cancelled, 1 running job goes on, and new jobs are still taken.",
    ],
  ] satisfies [typeof close, Command, string][])("is asked, then sent once", async (...each) => {
    const [button, message, consequence] = each;
    const { model } = draw(live());
    await choose(button);
    await expect.element(page.getByText(consequence)).toBeVisible();
    expect(model.sent).toEqual([]);
    await confirm.click();
    expect(model.sent).toEqual([message]);
    await expect.element(confirm).not.toBeInTheDocument();
    await expect.element(close).toBeDisabled();
    await expect.element(cancel).toHaveAttribute("aria-disabled", "true");
    model.hear();
    await expect.element(close).toBeDisabled();
    model.answer("error", "the service said no");
    await expect.element(cancel).toHaveAttribute("aria-disabled", "false");
    await expect.element(close).toBeEnabled();
  });

  test("of another browser is shown as under way", async () => {
    const { model } = draw(live());
    const under = (...active: Active[]) =>
      model.receive({ commands: { heard: [], done: [], active } });
    under(["close", null]);
    await expect.element(close).toHaveTextContent("Closing…");
    await expect.element(close).toBeDisabled();
    await expect.element(cancel).toHaveAttribute("aria-disabled", "true");
    under(["cancel_job", "d3k1f2s0v6qs73a8r0g7"]);
    await expect.element(close).toBeEnabled();
    const cancelJob = page.getByTestId("qsw-cancel-job");
    await expect.element(cancelJob.first()).toBeDisabled();
    await expect.element(cancelJob.nth(1)).toBeEnabled();
    under();
    await expect.element(cancelJob.first()).toBeEnabled();
  });

  test("can be thought better of, by click and by key", async () => {
    const { model } = draw(live());
    await close.click();
    await expect.element(dismiss).toHaveFocus();
    await dismiss.click();
    await expect.element(confirm).not.toBeInTheDocument();
    await expect.element(close).toHaveFocus();
    await choose(cancel);
    await userEvent.keyboard("{Escape}");
    await expect.element(confirm).not.toBeInTheDocument();
    await expect.element(menu).toHaveFocus();
    expect(model.sent).toEqual([]);
  });

  test("keeps the focus in the panel", async () => {
    draw(live());
    await close.click();
    await confirm.click();
    await expect.element(page.getByTestId("qsw-panel")).toHaveFocus();
  });

  test("says that it waits for the running cell where it does", async () => {
    vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"] });
    const { model } = draw(live());
    const waiting = page.getByTestId("qsw-waiting");
    await page.getByTestId("qsw-cancel-job").first().click();
    const beats = setTimeout.bind(globalThis);
    for (let round = 0; round < 5; round++) {
      vi.advanceTimersByTime(1000);
      model.beat();
      await new Promise((resolve) => beats(resolve));
    }
    await expect
      .element(waiting)
      .toHaveTextContent(`Cancel job ${MIXED[6]?.id} acts after the running cell.`);
    await expect.element(page.getByTestId("qsw-cancel-job").first()).toBeDisabled();
    model.hear();
    await expect.element(waiting).not.toBeInTheDocument();
    await expect.element(page.getByTestId("qsw-cancel-job").first()).toBeDisabled();
    model.answer("info", "It was cancelled.");
    await expect.element(page.getByTestId("qsw-cancel-job").first()).toBeEnabled();
  });

  test("is not sent into silence", async () => {
    const { model } = draw(live());
    await close.click();
    model.emit("comm_live_update");
    await expect.element(confirm).toBeDisabled();
  });

  test("what was sent before a silence is not waited for after it", async () => {
    const { model } = draw(live());
    await choose(cancel);
    await confirm.click();
    await expect.element(cancel).toHaveAttribute("aria-disabled", "true");
    model.emit("comm_live_update");
    await expect.element(linkBadge).toHaveTextContent("kernel gone");
    model.beat();
    await expect.element(cancel).toHaveAttribute("aria-disabled", "false");
  });

  test("the question goes when the session is closed by others", async () => {
    const { model } = draw(live());
    await close.click();
    model.receive({ head: head({ status: "Closed" }), link: link({ state: "ended" }) });
    await expect.element(confirm).not.toBeInTheDocument();
  });

  test("a session that takes no jobs can only be cancelled", async () => {
    draw(state("draining"));
    await expect.element(close).toBeDisabled();
    await expect.element(cancel).toHaveAttribute("aria-disabled", "false");
  });
});

test("a notice stays until dismissed, and a new one shows again", async () => {
  const { model } = draw(live());
  await expect.element(notice).not.toBeInTheDocument();
  model.receive({
    notice: { n: 1, level: "error", text: "It did not work.", command: "Cancel job" },
  });
  await expect.element(notice).toHaveTextContent("Cancel job: It did not work.");
  await page.getByLabelText("Dismiss").click();
  await expect.element(notice).not.toBeInTheDocument();
  model.receive({ notice: { n: 2, level: "info", text: "Now it did.", command: "" } });
  await expect.element(notice).toHaveTextContent("Now it did.");
});

test("text from the wire stays text", async () => {
  const { element } = draw(state("hostile"));
  await page.getByTestId("qsw-reason-button").click();
  await expect.element(page.getByTestId("qsw-reason")).toHaveTextContent(HOSTILE);
  await details.click();
  await expect.element(page.getByTestId("qsw-details")).toHaveTextContent(HOSTILE);
  expect(element.querySelector("img, script, .qsw-sentence a")).toBeNull();
  expect(Reflect.has(globalThis, "pwned")).toBe(false);
});

describe("keys", () => {
  test("everything that can have the focus keeps its plain keys", async () => {
    const { element } = draw(state("retrying"));
    await details.click();
    await page.getByTestId("qsw-tab-jobs").click();
    await page.getByTestId("qsw-reason-button").first().click();
    await choose(cancel);
    const focusable = element.querySelectorAll<HTMLElement>(
      "a, button, input, select, summary, [tabindex]",
    );
    expect(focusable.length).toBeGreaterThan(10);
    for (const each of focusable) {
      expect(each.dataset.lmSuppressShortcuts, each.outerHTML).toBe("true");
    }
  });

  test("plain keys do not leave the panel, those with a modifier do", async () => {
    draw(live());
    const heard: string[] = [];
    const listen = (event: KeyboardEvent) => heard.push(event.key);
    document.addEventListener("keydown", listen);
    (menu.element() as HTMLElement).focus();
    await userEvent.keyboard("dd");
    page.getByRole("region", { name: "Jobs", exact: true }).element().focus();
    await userEvent.keyboard("dd{Control>}s{/Control}");
    document.removeEventListener("keydown", listen);
    expect(heard.filter((key) => key !== "Control")).toEqual(["s"]);
  });
});

test("the host's lists are not the panel's", async () => {
  const { element } = draw(live());
  await details.click();
  const style = element.appendChild(document.createElement("style"));
  element.classList.add("host");
  style.textContent = `
    .host dl, .host dt, .host dd { display: block; overflow: hidden; }
    .host dt, .host dd { float: left; width: 20%; font-weight: bold; }`;
  const lists = element.querySelectorAll("dt, dd");
  expect(lists.length).toBeGreaterThan(10);
  for (const each of lists) {
    expect(getComputedStyle(each)).toMatchObject({ float: "none", overflow: "visible" });
    expect(getComputedStyle(each).fontWeight).not.toBe("700");
  }
  const column = element.querySelector("dt")?.getBoundingClientRect().width;
  expect(column).toBeGreaterThan(100);
});

describe("the session that has the device", () => {
  const holds = "4e1a22c0v6qs73a8qzz0";
  const show = page.getByTestId("qsw-show-holder");

  test("can be shown if its panel is in the page", async () => {
    draw(state("waiting"));
    await expect.element(page.getByTestId("qsw-close-holder")).toBeVisible();
    await expect.element(show).not.toBeInTheDocument();
    const other = document.body.appendChild(document.createElement("div"));
    onTestFinished(() => other.remove());
    other.dataset.sessionId = holds;
    other.tabIndex = -1;
    await show.click();
    expect(document.activeElement).toBe(other);
  });

  test("can be shown if JupyterLab's extension finds it", async () => {
    const asked: [string, unknown][] = [];
    const answer = (event: Event) => {
      event.preventDefault();
      asked.push([event.type, (event as CustomEvent).detail]);
    };
    for (const name of [CAN_SHOW, SHOW]) {
      registry().changes.addEventListener(name, answer);
      onTestFinished(() => registry().changes.removeEventListener(name, answer));
    }
    draw(state("waiting"));
    await show.click();
    expect(asked.filter(([name]) => name === SHOW)).toEqual([[SHOW, holds]]);
  });
});
