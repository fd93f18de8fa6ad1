import { Widget } from "@lumino/widgets";
import axe from "axe-core";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import "../style/index.css";
import type { Traits } from "../src/contract";
import { COMMAND } from "../src/lab/ids";
import { SessionsPanel } from "../src/lab/sidepanel";
import { registry } from "../src/registry";
import widget from "../src/view/widget";
import { FakeModel } from "./fake-model";
import { HOSTILE, head, live, STATES } from "./fixtures";
import golden from "./golden/server-sessions.json";
import { Page, withKernel } from "./lab";

afterEach(() => {
  vi.useRealTimers();
});

function open(traits: Partial<Traits> = live()) {
  const model = new FakeModel(traits);
  const close = widget.initialize({ model });
  onTestFinished(close);
  const entry = [...registry().entries].find((each) => each.model === model);
  if (!entry) {
    throw new Error("it is not announced");
  }
  return { model, close, entry };
}

function side(page: Page): SessionsPanel {
  const panel = new SessionsPanel(page.sessions, page.commands);
  onTestFinished(() => panel.dispose());
  Widget.attach(panel, document.body);
  return panel;
}

/** Commands that can act, and note with what they were executed. */
function commands(page: Page): string[] {
  const executed: string[] = [];
  for (const id of Object.values(COMMAND)) {
    page.commands.addCommand(id, {
      execute: (args) => void executed.push(`${id} ${JSON.stringify(args)}`),
    });
  }
  return executed;
}

const cards = ({ node }: Widget) => [
  ...node.querySelectorAll<HTMLElement>("[data-testid=qsw-card]"),
];
const find = ({ node }: Widget, testid: string) => {
  const found = node.querySelector<HTMLElement>(`[data-testid=${testid}]`);
  if (!found) {
    throw new Error(`there is no ${testid}`);
  }
  return found;
};
const second = () => live({ head: head({ key: "k2", session_id: "d4", name: "Second" }) });
const ID = golden.session.session_id;

/** A server that answers as in the golden file. */
function server(): Page {
  return new Page((path) => {
    if (path === "sessions") {
      const { runtime, sessions } = golden.sessions;
      return [200, { runtime: { ...runtime, now: Date.now() }, sessions }];
    }
    return path === `sessions/${ID}` ? [200, golden.session] : [204, null];
  });
}

test("each session is one card, as long as it is seen", () => {
  open();
  const { close } = open(second());
  open();
  const panel = side(new Page());
  expect(cards(panel)).toHaveLength(2);
  const [first] = cards(panel);
  close();
  expect(cards(panel)).toEqual([first]);
  panel.hide();
  open(second());
  expect(cards(panel)).toHaveLength(1);
  panel.show();
  expect(cards(panel)).toHaveLength(2);
});

test("of several panels of one session, that of the notebook that opened it stands for it", () => {
  const page = new Page();
  const held = open(live({ head: head({ key: "held", cell_id: null }) }));
  const opened = open(live({ head: head({ key: "opened", cell_id: "cell-1" }) }));
  open(live({ head: head({ key: "held too", cell_id: null }) }));
  expect(page.sessions.onPage().map(({ entry }) => entry)).toEqual([opened.entry]);
  // Its kernel is gone.
  opened.close();
  expect(page.sessions.onPage().map(({ entry }) => entry)).toEqual([held.entry]);
});

test("panels of a kernel with another contract are missing, which is said", () => {
  const panel = side(new Page());
  expect(panel.node.textContent).not.toContain("the same release");
  const other = Symbol.for("qsession-widget.registry/2");
  const page: Record<symbol, unknown> = globalThis as never;
  page[other] = {};
  onTestFinished(() => {
    delete page[other];
  });
  open();
  expect(find(panel, "qsw-side-note").textContent).toContain("the same release");
});

test("its tab has a name where it stands between others", () => {
  const stack = document.body.appendChild(document.createElement("div"));
  stack.id = "jp-left-stack";
  onTestFinished(() => stack.remove());
  const panel = side(new Page());
  expect(panel.title.label).toBe("Quantum sessions");
  Widget.detach(panel);
  Widget.attach(panel, stack);
  expect(panel.title.label).toBe("");
  Widget.detach(panel);
});

test("a card tells the state, the next deadline, pending jobs and usage", () => {
  const { model } = open(STATES.idle?.());
  const panel = side(new Page());
  expect(find(panel, "qsw-card-status").textContent).toBe("Idle (paid)");
  expect(find(panel, "qsw-card-left").textContent).toMatch(/^Idle time left 0:1\d$/);
  expect(find(panel, "qsw-card-figures").textContent).toBe("4 finished · used 1 min 19 s");
  model.receive(live());
  expect(find(panel, "qsw-card-status").textContent).toBe("Running");
  expect(find(panel, "qsw-card-figures").textContent).toMatch(/^3 pending · 4 finished · used /);
});

test("a silent session says so, and offers nothing that needs its kernel", () => {
  open(STATES.stale?.());
  const page = new Page();
  const panel = side(page);
  expect(find(panel, "qsw-card-status").textContent).toBe("No connection");
});

test("its buttons execute the commands for the session", () => {
  const { model } = open();
  const page = new Page();
  const executed = commands(page);
  const panel = side(page);
  const id = model.get("head")?.session_id;
  for (const name of ["open", "cell", "cancel-queued", "close"]) {
    find(panel, `qsw-card-${name}`).click();
  }
  expect(executed).toEqual([
    `${COMMAND.openSession} ${JSON.stringify({ id, title: "fake_manila", path: null })}`,
    `${COMMAND.goToCell} ${JSON.stringify({ id })}`,
    `${COMMAND.cancelQueued} ${JSON.stringify({ id })}`,
    `${COMMAND.closeSession} ${JSON.stringify({ id })}`,
  ]);
});

test("an empty panel teaches", () => {
  const page = new Page();
  const executed = commands(page);
  const panel = side(page);
  expect(panel.node.textContent).toContain("No session is open");
  find(panel, "qsw-start").click();
  find(panel, "qsw-quickstart").click();
  expect(executed).toEqual([`${COMMAND.newSession} {}`, `${COMMAND.openQuickstart} {}`]);
  open();
  expect(panel.node.textContent).not.toContain("No session is open");
});

test("sessions that no kernel of the page holds come from the server", async () => {
  const page = server();
  commands(page);
  const panel = side(page);
  await vi.waitFor(() => expect(cards(panel)).toHaveLength(2));
  const [alive, gone] = cards(panel);
  expect(alive?.textContent).toContain("H2 ground state");
  expect(alive?.textContent).toContain("3 pending · 188 finished · used 1 min 19 s · vqe.ipynb");
  expect(alive?.textContent).toContain("Running");
  expect(alive?.closest("section")?.getAttribute("aria-label")).toBe("Elsewhere");
  expect(gone?.classList).toContain("qsw-mod-gone");
  expect(gone?.closest("section")?.getAttribute("aria-label")).toBe("No kernel");
  expect(gone?.textContent).toContain("Resume in a notebook");
});

test("details list the jobs, and a job is cancelled at the server", async () => {
  const page = server();
  commands(page);
  const panel = side(page);
  await vi.waitFor(() => expect(cards(panel)).toHaveLength(2));
  find(panel, "qsw-card-details").click();
  await vi.waitFor(() => expect(panel.node.querySelectorAll("[data-job-id]")).toHaveLength(3));
  expect(find(panel, "qsw-card-facts").textContent).toContain("fake_torino");
  find(panel, "qsw-card-cancel-job").click();
  await vi.waitFor(() => expect(page.asked).toContain("POST jobs/d3k1f2s0v6qs73a8r0a3/cancel"));
});

test("the server acts on its sessions, and the kernel on the others", async () => {
  const { model: known } = open(live({ head: head({ session_id: ID }) }));
  const { model: foreign } = open(second());
  const page = server();
  await vi.waitFor(() => expect(page.sessions.find(ID)?.served).toBe(true));
  for (const card of page.sessions.cards().filter(({ entry }) => entry !== null)) {
    await page.sessions.close(card);
    await page.sessions.cancelQueued(card);
  }
  expect(page.asked.filter((each) => each.startsWith("POST"))).toEqual([
    `POST sessions/${ID}/close`,
    `POST sessions/${ID}/cancel-queued`,
  ]);
  expect(known.sent).toEqual([]);
  expect(foreign.sent.map(({ do: what }) => what)).toEqual(["close", "cancel_queued"]);
});

test("a refusal of the server is told in its words", async () => {
  const page = new Page((path) =>
    path === "sessions" ? [200, golden.sessions] : [409, golden.refused],
  );
  await vi.waitFor(() => expect(page.sessions.find(ID)).toBeDefined());
  const card = page.sessions.find(ID);
  await expect(card && page.sessions.close(card)).rejects.toThrow("the session is closed");
});

test("a session that its kernel says is closed does not come back from the server", async () => {
  const { model } = open(live({ head: head({ session_id: ID }) }));
  const page = server();
  await vi.waitFor(() => expect(page.sessions.find(ID)?.served).toBe(true));
  model.receive({ head: head({ session_id: ID, status: "Closed", state: "closed" }) });
  expect(page.sessions.find(ID)).toBeUndefined();
});

test("a server without the extension is asked once", async () => {
  vi.useFakeTimers({ toFake: ["Date", "setTimeout", "clearTimeout"] });
  const page = new Page();
  page.sessions.watch();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(new Set(page.asked)).toEqual(new Set(["GET sessions"]));
  expect(page.asked.length).toBeLessThanOrEqual(2);
});

test("a session stays when its kernel is gone, until it must have ended", async () => {
  vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"] });
  const ends = Date.now() + 60_000;
  const countdowns = [{ kind: "max" as const, label: "Time left", ends, total: 60_000 }];
  const { entry, close } = open(live({ head: head({ countdowns }) }));
  const status = withKernel(entry, "kernel-1");
  const page = new Page();
  commands(page);
  page.running.push("kernel-1");
  const panel = side(page);
  status.emit("restarting");
  close();
  expect(cards(panel).map(({ dataset }) => dataset.where)).toEqual(["gone"]);
  expect(panel.node.textContent).toContain("Resume in a notebook");
  vi.advanceTimersByTime(61_000);
  expect(cards(panel)).toEqual([]);
});

test("a session whose notebook is closed is elsewhere as long as its kernel runs", () => {
  const { entry, close } = open();
  withKernel(entry, "kernel-1");
  const page = new Page();
  page.running.push("kernel-1");
  const panel = side(page);
  expect(cards(panel)[0]?.dataset.where).toBe("here");
  close();
  expect(cards(panel)[0]?.dataset.where).toBe("elsewhere");
  page.running.pop();
  page.runningChanged.emit([]);
  expect(cards(panel)[0]?.dataset.where).toBe("gone");
});

test("nothing of a session is taken for markup", () => {
  open(STATES.hostile?.());
  const panel = side(new Page());
  expect(panel.node.textContent).toContain(HOSTILE);
  expect(panel.node.querySelector("img")).toBeNull();
});

test.each(["empty", "cards"])("axe finds nothing in the panel: %s", async (what) => {
  const page = what === "empty" ? new Page() : server();
  commands(page);
  if (what === "cards") {
    open(STATES.idle?.());
    open(second());
  }
  const panel = side(page);
  if (what === "cards") {
    await vi.waitFor(() => expect(cards(panel)).toHaveLength(4));
    find(panel, "qsw-card-details").click();
    await vi.waitFor(() => expect(panel.node.querySelector("[data-job-id]")).not.toBeNull());
  }
  const { violations } = await axe.run(panel.node, {
    rules: { "label-content-name-mismatch": { enabled: true } },
  });
  expect(violations.map(({ id, nodes }) => [id, nodes[0]?.html])).toEqual([]);
});

test("Escape leaves the panel, and activation enters it", () => {
  open();
  const page = new Page();
  const left = vi.spyOn(page.sessions.notebooks, "focus");
  const panel = side(page);
  panel.activate();
  return vi.waitFor(() => {
    expect(panel.node.contains(document.activeElement)).toBe(true);
    document.activeElement?.dispatchEvent(
      new KeyboardEvent("keydown", { key: "Escape", bubbles: true }),
    );
    expect(left).toHaveBeenCalled();
  });
});
