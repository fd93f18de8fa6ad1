import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import type { Traits } from "../src/contract";
import { StatusItem } from "../src/lab/status";
import { registry } from "../src/registry";
import widget from "../src/view/widget";
import { FakeModel } from "./fake-model";
import { head, link, live, STATES } from "./fixtures";
import { Page } from "./lab";

afterEach(() => {
  vi.useRealTimers();
});

function open(traits: Partial<Traits> = live()): { model: FakeModel; close: () => void } {
  const model = new FakeModel(traits);
  const close = widget.initialize({ model });
  onTestFinished(close);
  return { model, close };
}

function statusItem(): StatusItem {
  const item = new StatusItem(new Page().sessions, () => {});
  onTestFinished(() => item.dispose());
  return item;
}

const second = (changes: Partial<Traits> = {}) =>
  live({
    head: head({
      key: "k2",
      session_id: "d4",
      backend_name: "fake_lima",
      status: "Pending",
      state: "open",
    }),
    ...changes,
  });

test("a panel is announced with what draws it, and withdrawn", () => {
  const { model, close } = open();
  const [entry] = registry().entries;
  expect(entry?.model).toBe(model);
  const element = document.createElement("div");
  const unmount = entry?.mount(element);
  expect(element.querySelector("[data-testid=qsw-panel]")).not.toBeNull();
  unmount?.();
  close();
  expect(registry().entries.size).toBe(0);
  expect(model.listenerCount).toBe(0);
});

test("a panel whose kernel is gone is withdrawn until it is heard again", () => {
  const { model } = open();
  model.emit("comm_live_update");
  expect(registry().entries.size).toBe(0);
  model.beat();
  expect(registry().entries.size).toBe(1);
});

test("the view is drawn by render and taken away by its cleanup", () => {
  const element = document.createElement("div");
  const cleanup = widget.render({ model: new FakeModel(live()), el: element });
  expect(element.childElementCount).toBe(1);
  cleanup();
  expect(element.childElementCount).toBe(0);
});

const text = (item: StatusItem) => item.node.textContent;

test("the status bar counts sessions, whichever side comes first", () => {
  open();
  const item = statusItem();
  expect(item.active).toBe(true);
  expect(text(item)).toMatch(/^Sessions: 1 · 3 pending · 7:5\d:\d\d$/);
  const { close } = open(second());
  expect(text(item)).toContain("Sessions: 2 · 6 pending");
  expect(item.node.title).toContain(
    "fake_manila: Running, 3 jobs pending\nfake_lima: Waiting, 3 jobs pending",
  );
  close();
  expect(text(item)).toContain("Sessions: 1 · 3 pending");
});

test("two panels on one session are one session", () => {
  open();
  open();
  expect(text(statusItem())).toContain("Sessions: 1 · 3 pending");
});

test("the status bar says when time is paid for, and when that ends", () => {
  const { model } = open(STATES.idle?.());
  const item = statusItem();
  expect(text(item)).toMatch(/^Sessions: 1 · idle on paid time · 0:1\d$/);
  expect(item.hasClass("qsw-mod-paid")).toBe(true);
  model.receive(live());
  expect(text(item)).not.toContain("paid");
  expect(item.hasClass("qsw-mod-paid")).toBe(false);
});

test("a click on the status bar is passed on", () => {
  const clicked = vi.fn();
  const item = new StatusItem(new Page().sessions, clicked);
  onTestFinished(() => item.dispose());
  item.node.click();
  expect(clicked).toHaveBeenCalledOnce();
});

test("the status bar follows status and link", () => {
  const item = statusItem();
  const changes: boolean[] = [];
  item.activeStateChanged.connect(({ active }) => changes.push(active));
  expect(item.active).toBe(false);
  const { model } = open(live({ link: link({ state: "connecting" }) }));
  expect(item.active).toBe(false);
  model.receive({ link: link({ state: "retrying" }) });
  expect(item.active).toBe(true);
  model.receive({ head: head({ status: "Closed" }) });
  expect(item.active).toBe(false);
  model.receive({ head: head(), link: link({ state: "ended" }) });
  expect(changes).toEqual([true, false]);
});

test("a session that is silent does not count", () => {
  vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"] });
  open(STATES.stale?.());
  const { model } = open(second());
  const item = statusItem();
  expect(item.node.title).not.toContain("fake_manila");
  expect(item.node.title).toContain("fake_lima: Waiting");
  vi.advanceTimersByTime(6000);
  expect(item.active).toBe(false);
  model.beat();
  vi.advanceTimersByTime(1000);
  expect(item.active).toBe(true);
});

test("what is disposed listens no more", () => {
  const { model } = open();
  const before = model.listenerCount;
  const { sessions } = new Page();
  const item = new StatusItem(sessions, () => {});
  expect(model.listenerCount).toBeGreaterThan(before);
  item.dispose();
  sessions.dispose();
  expect(model.listenerCount).toBe(before);
});
