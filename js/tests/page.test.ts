import { Widget } from "@lumino/widgets";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import type { Traits } from "../src/contract";
import { SessionsPanel } from "../src/lab/sidepanel";
import { StatusItem } from "../src/lab/status";
import { registry } from "../src/registry";
import widget from "../src/view/widget";
import { FakeModel } from "./fake-model";
import { head, link, live, STATES } from "./fixtures";

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
  const item = new StatusItem();
  onTestFinished(() => item.dispose());
  return item;
}

const second = (changes: Partial<Traits> = {}) =>
  live({
    head: head({ key: "k2", backend_name: "fake_lima", status: "Pending", state: "open" }),
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

test("the status bar counts sessions, whichever side comes first", () => {
  open();
  const item = statusItem();
  expect(item.active).toBe(true);
  expect(item.node.textContent).toBe("Sessions: 1");
  const { close } = open(second());
  expect(item.node.textContent).toBe("Sessions: 2");
  expect(item.node.title).toBe("fake_manila: Running\nfake_lima: Waiting");
  close();
  expect(item.node.textContent).toBe("Sessions: 1");
});

test("two panels on one session are one session", () => {
  open();
  open();
  expect(statusItem().node.textContent).toBe("Sessions: 1");
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
  expect(item.node.title).toBe("fake_lima: Waiting");
  vi.advanceTimersByTime(6000);
  expect(item.active).toBe(false);
  model.beat();
  vi.advanceTimersByTime(1000);
  expect(item.active).toBe(true);
});

test("what is disposed listens no more", () => {
  const { model } = open();
  const before = model.listenerCount;
  const item = new StatusItem();
  expect(model.listenerCount).toBeGreaterThan(before);
  item.dispose();
  expect(model.listenerCount).toBe(before);
});

test("the side panel shows each session once, as long as it is seen", () => {
  open();
  const { close } = open(second());
  open();
  const panel = new SessionsPanel();
  onTestFinished(() => panel.dispose());
  const shown = () => panel.node.querySelectorAll("[data-testid=qsw-panel]").length;
  expect(shown()).toBe(0);
  Widget.attach(panel, document.body);
  expect(shown()).toBe(2);
  const [first] = panel.node.querySelectorAll("[data-testid=qsw-panel]");
  close();
  expect(shown()).toBe(1);
  expect(panel.node.querySelector("[data-testid=qsw-panel]")).toBe(first);
  panel.hide();
  expect(shown()).toBe(0);
  panel.show();
  expect(shown()).toBe(1);
});

test("the side panel says that there is nothing, and leaves nothing", () => {
  const panel = new SessionsPanel();
  Widget.attach(panel, document.body);
  expect(panel.node.textContent).toContain("No session is shown");
  const { model } = open();
  const before = model.listenerCount;
  expect(panel.node.querySelector("p")?.hidden).toBe(true);
  panel.dispose();
  expect(model.listenerCount).toBeLessThan(before);
});
