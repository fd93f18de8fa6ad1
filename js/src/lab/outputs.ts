import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import type { DocumentRegistry } from "@jupyterlab/docregistry";
import type { IRenderMime, IRenderMimeRegistry } from "@jupyterlab/rendermime";
import { type Entry, registry } from "../registry";
import { PLUGIN } from "./ids";

/** What the kernel adds to a panel's output; hosts that do not know it draw the widget itself. */
export const PANEL_MIME = "application/vnd.qsession-widget.panel+json";
const WIDGET_MIME = "application/vnd.jupyter.widget-view+json";
/** Before the renderer of widgets, which has -10. */
const RANK = -20;

function modelId(model: IRenderMime.IMimeModel): unknown {
  const view = model.data[WIDGET_MIME] as { model_id?: unknown } | undefined;
  return view?.model_id;
}

/**
 * Return the renderer of widgets, which draws a panel once. The kernel renews the text and the HTML
 * beside it, which are for the saved notebook; without this, each time would draw the panel anew.
 */
export function panelRenderer(rendermime: IRenderMimeRegistry): IRenderMime.IRenderer {
  const renderer = rendermime.createRenderer(WIDGET_MIME);
  const draw = renderer.renderModel.bind(renderer);
  let drawn: unknown;
  renderer.renderModel = async (model) => {
    const id = modelId(model);
    if (id === undefined || id !== drawn) {
      drawn = id;
      await draw(model);
    }
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
