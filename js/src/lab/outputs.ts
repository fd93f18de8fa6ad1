import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import type { DocumentRegistry } from "@jupyterlab/docregistry";
import type { IRenderMime, IRenderMimeRegistry } from "@jupyterlab/rendermime";
import { type Entry, registry } from "../registry";
import { PLUGIN } from "./ids";

/** What the kernel adds to a panel's output; hosts that do not know it draw the widget itself. */
export const PANEL_MIME = "application/vnd.qsession-widget.panel+json";
const WIDGET_MIME = "application/vnd.jupyter.widget-view+json";
const PICTURE_MIME = "text/html";
/** Before the renderer of widgets, which has -10. */
const RANK = -20;
/** How long the renderer of widgets may take: without a kernel it waits for one. */
const PATIENCE_MS = 2000;

function modelId(model: IRenderMime.IMimeModel): unknown {
  const view = model.data[WIDGET_MIME] as { model_id?: unknown } | undefined;
  return view?.model_id;
}

/**
 * Return the renderer of widgets, which draws a panel once. The kernel renews the text and the HTML
 * beside it, which are for the saved notebook; without this, each time would draw the panel anew.
 * Where there is no widget, as without the kernel that made it, the saved picture is shown.
 */
export function panelRenderer(rendermime: IRenderMimeRegistry): IRenderMime.IRenderer {
  const renderer = rendermime.createRenderer(WIDGET_MIME);
  const draw = renderer.renderModel.bind(renderer);
  const picture = rendermime.createRenderer(PICTURE_MIME);
  renderer.disposed.connect(() => picture.dispose());
  let id: unknown;
  let drawing: Promise<void> | null = null;
  // The renderer of widgets has nothing but text in its node until it has a widget, and removes
  // what it finds there before it adds one.
  const hasWidget = () => [...renderer.node.children].some((element) => element !== picture.node);
  const showPicture = async (model: IRenderMime.IMimeModel) => {
    if (typeof model.data[PICTURE_MIME] !== "string") {
      return;
    }
    await picture.renderModel(model);
    if (!hasWidget()) {
      renderer.node.replaceChildren(picture.node);
    }
  };
  const drawOnce = async (model: IRenderMime.IMimeModel) => {
    const late = setTimeout(showPicture, PATIENCE_MS, model);
    try {
      await draw(model);
    } finally {
      clearTimeout(late);
    }
    if (!hasWidget()) {
      await showPicture(model);
    }
  };
  renderer.renderModel = async (model) => {
    if (modelId(model) !== id || !(hasWidget() || drawing)) {
      id = modelId(model);
      drawing = drawOnce(model).finally(() => {
        drawing = null;
      });
    }
    await drawing;
  };
  return renderer;
}

/** Tell each panel of the page, once, that its output may be renewed. */
class Telling {
  readonly #told = new WeakSet<Entry>();

  constructor() {
    registry().changes.addEventListener("change", this.#tell);
    this.#tell();
  }

  readonly #tell = (): void => {
    for (const entry of registry().entries) {
      if (!this.#told.has(entry)) {
        this.#told.add(entry);
        entry.model.send({ do: "renew" });
      }
    }
  };
}

interface Notebook {
  readonly content: { readonly rendermime: IRenderMimeRegistry };
}

export const savedOutputs: JupyterFrontEndPlugin<void> = {
  id: PLUGIN.savedOutputs,
  description: "Lets kernels renew what saved notebooks show of sessions.",
  autoStart: true,
  activate: (app: JupyterFrontEnd) => {
    app.docRegistry.addWidgetExtension("Notebook", {
      createNew: (panel) => {
        const { rendermime } = (panel as unknown as Notebook).content;
        rendermime.addFactory(
          {
            safe: false,
            mimeTypes: [PANEL_MIME],
            createRenderer: () => panelRenderer(rendermime),
          },
          RANK,
        );
      },
    } satisfies DocumentRegistry.WidgetExtension);
    new Telling();
  },
};
