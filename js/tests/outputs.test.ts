import type { IRenderMime, IRenderMimeRegistry } from "@jupyterlab/rendermime";
import { PromiseDelegate } from "@lumino/coreutils";
import { Panel, Widget } from "@lumino/widgets";
import { expect, onTestFinished, test, vi } from "vitest";
import { panelRenderer } from "../src/lab/outputs";

const VIEW = "application/vnd.jupyter.widget-view+json";
const MISSING = "Error displaying widget: model not found";

/** A manager of widgets, as that of ipywidgets in JupyterLab: its models, and whether it is there. */
class Manager {
  readonly models = new Set<string>();
  readonly ready = new PromiseDelegate<void>();
  /** How many views were made. */
  views = 0;
}

/** Draws as ipywidgets does: text until there is a model, then nothing but the view. */
class WidgetRenderer extends Panel implements IRenderMime.IRenderer {
  readonly #manager: Manager;

  constructor(manager: Manager) {
    super();
    this.#manager = manager;
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this.node.textContent = "Loading widget...";
    await this.#manager.ready.promise;
    const { model_id } = model.data[VIEW] as { model_id: string };
    if (!this.#manager.models.has(model_id)) {
      this.node.textContent = MISSING;
      return;
    }
    this.#manager.views += 1;
    this.node.textContent = "";
    const view = new Widget();
    view.node.textContent = "the panel";
    this.addWidget(view);
  }
}

class Picture extends Widget implements IRenderMime.IRenderer {
  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this.node.textContent = String(model.data["text/html"]);
  }
}

function output(picture: string | null, id = "m1"): IRenderMime.IMimeModel {
  const data = { [VIEW]: { model_id: id }, ...(picture === null ? {} : { "text/html": picture }) };
  return { data, metadata: {}, trusted: true, setData: () => {} };
}

function open(manager: Manager) {
  const registry = {
    createRenderer: (type: string) => (type === VIEW ? new WidgetRenderer(manager) : new Picture()),
  } as unknown as IRenderMimeRegistry;
  const renderer = panelRenderer(registry);
  Widget.attach(renderer, document.body);
  onTestFinished(() => renderer.dispose());
  return { renderer, text: () => renderer.node.textContent };
}

test("a panel is drawn once, however often its output is renewed", async () => {
  const manager = new Manager();
  manager.models.add("m1").add("m2");
  manager.ready.resolve(undefined);
  const { renderer, text } = open(manager);
  await Promise.all([renderer.renderModel(output("1")), renderer.renderModel(output("2"))]);
  const [view] = renderer.node.children;
  await renderer.renderModel(output("3"));
  expect([text(), manager.views]).toEqual(["the panel", 1]);
  expect(renderer.node.firstElementChild).toBe(view);
  await renderer.renderModel(output("4", "m2"));
  expect(manager.views).toBe(2);
});

test("without its widget, the saved picture is shown", async () => {
  const manager = new Manager();
  manager.ready.resolve(undefined);
  const { renderer, text } = open(manager);
  await renderer.renderModel(output("as of 12:00"));
  expect(text()).toBe("as of 12:00");
  await renderer.renderModel(output("as of 12:01"));
  expect(text()).toBe("as of 12:01");
  // The widgets of the kernel are restored.
  manager.models.add("m1");
  await renderer.renderModel(output("as of 12:01"));
  expect(text()).toBe("the panel");
});

test("without a kernel the picture is shown, and the panel once there is one", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const manager = new Manager();
  manager.models.add("m1");
  const { renderer, text } = open(manager);
  const drawn = renderer.renderModel(output("as of 12:00"));
  expect(text()).toBe("Loading widget...");
  await vi.advanceTimersByTimeAsync(2000);
  expect(text()).toBe("as of 12:00");
  manager.ready.resolve(undefined);
  await drawn;
  expect(text()).toBe("the panel");
});

test("an output without a picture says what ipywidgets says", async () => {
  const manager = new Manager();
  manager.ready.resolve(undefined);
  const { renderer, text } = open(manager);
  await renderer.renderModel(output(null));
  expect(text()).toBe(MISSING);
});
