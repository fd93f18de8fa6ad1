import type { JupyterFrontEnd } from "@jupyterlab/application";
import { PathExt } from "@jupyterlab/coreutils";
import type { INotebookTracker, NotebookPanel } from "@jupyterlab/notebook";
import type { Kernel } from "@jupyterlab/services";
import type { Entry } from "../registry";

const WIDGET = "application/vnd.jupyter.widget-view+json";

/** The part of Jupyter's widget manager that we use. Other hosts and versions may lack it. */
interface Manager {
  kernel?: Kernel.IKernelConnection | null;
  has_model?: (id: string) => boolean;
  get_model?: (id: string) => Promise<{ get: (name: string) => unknown }>;
}

function managerOf(entry: Entry): Manager {
  const { widget_manager: manager } = entry.model as { widget_manager?: Manager };
  return manager ?? {};
}

/** The kernel of a panel; null if that is not known, or it has none any more. */
export function kernelOf(entry: Entry): Kernel.IKernelConnection | null {
  try {
    return managerOf(entry).kernel ?? null;
  } catch {
    // The notebook of the manager was closed.
    return null;
  }
}

type Cell = NotebookPanel["content"]["widgets"][number];

/** The ids of the widgets that a cell displays. */
function shownBy(cell: Cell): string[] {
  const { outputs = [] } = cell.model.sharedModel.toJSON() as {
    outputs?: readonly { data?: Record<string, unknown> }[];
  };
  return outputs.flatMap(({ data }) => {
    const view = data?.[WIDGET] as { model_id?: unknown } | undefined;
    return typeof view?.model_id === "string" ? [view.model_id] : [];
  });
}

/** The open notebooks, and what is done in them. */
export class Notebooks {
  readonly #app: JupyterFrontEnd;
  readonly #tracker: INotebookTracker | null;
  readonly #canCreate: boolean;

  /**
   * `canCreate` says whether a new notebook opens in this page: in JupyterLab, and not in
   * Notebook, which opens a page of its own.
   */
  constructor(app: JupyterFrontEnd, tracker: INotebookTracker | null, canCreate: boolean) {
    this.#app = app;
    this.#tracker = tracker;
    this.#canCreate = canCreate;
  }

  /** Return the notebook with a session's kernel. */
  of(entry: Entry): NotebookPanel | null {
    const kernel = kernelOf(entry);
    return kernel === null ? null : this.withKernel(kernel.id);
  }

  withKernel(id: string): NotebookPanel | null {
    return (
      this.#tracker?.find(({ sessionContext }) => sessionContext.session?.kernel?.id === id) ?? null
    );
  }

  at(path: string): NotebookPanel | null {
    return this.#tracker?.find(({ context }) => context.path === path) ?? null;
  }

  /** Return the open notebook whose file has a name; null if none or several have it. */
  named(name: string): NotebookPanel | null {
    const found = this.#tracker?.filter(({ context }) => PathExt.basename(context.path) === name);
    return found?.length === 1 ? (found[0] ?? null) : null;
  }

  /** The notebook that the user is in, or was in last. */
  get current(): NotebookPanel | null {
    return this.#tracker?.currentWidget ?? null;
  }

  /** Give the keyboard back to the notebook. */
  focus(): void {
    const { current } = this;
    if (current !== null) {
      this.#app.shell.activateById(current.id);
    }
  }

  /** Whether `insert` can work. */
  get canInsert(): boolean {
    return this.current !== null || this.#canCreate;
  }

  /** Bring the cell that opened a session into view; where that is not known, as `revealPanel`. */
  async revealOpening(entry: Entry): Promise<void> {
    const panel = this.of(entry);
    const opened = entry.model.get("head")?.cell_id;
    const cell = panel?.content.widgets.find(({ model }) => model.id === opened);
    await (panel && cell ? this.#reveal(panel, cell) : this.revealPanel(entry));
  }

  /** Bring the first cell that shows a session into view, and its notebook. */
  async revealPanel(entry: Entry): Promise<void> {
    const panel = this.of(entry);
    if (panel === null) {
      return;
    }
    const key = entry.model.get("head")?.key;
    const manager = managerOf(entry);
    for (const cell of panel.content.widgets) {
      for (const id of shownBy(cell).filter((shown) => manager.has_model?.(shown))) {
        const head = (await manager.get_model?.(id))?.get("head") as { key?: unknown } | undefined;
        if (head?.key === key) {
          await this.#reveal(panel, cell);
          return;
        }
      }
    }
    this.#app.shell.activateById(panel.id);
  }

  async #reveal({ id, content }: NotebookPanel, cell: Cell): Promise<void> {
    this.#app.shell.activateById(id);
    content.activeCellIndex = content.widgets.indexOf(cell);
    await content.scrollToCell(cell, "start");
    // Activation may have put the cursor into the cell.
    content.mode = "command";
  }

  /**
   * Insert a code cell below the active one and select it.
   *
   * Where no notebook is open, one is created.
   */
  async insert(source: string, into = this.current, cwd?: string): Promise<void> {
    const panel = into ?? (await this.#create(cwd));
    const { content: notebook } = panel;
    const model = notebook.model;
    if (model === null) {
      return;
    }
    this.#app.shell.activateById(panel.id);
    const active = notebook.activeCell;
    const emptyCell =
      active?.model.type === "code" && active.model.sharedModel.getSource().trim() === "";
    if (active && emptyCell) {
      active.model.sharedModel.setSource(source);
    } else {
      const at = notebook.widgets.length === 0 ? 0 : notebook.activeCellIndex + 1;
      model.sharedModel.insertCell(at, { cell_type: "code", source });
      notebook.activeCellIndex = at;
    }
    notebook.deselectAll();
    notebook.mode = "command";
    if (notebook.activeCell) {
      await notebook.scrollToCell(notebook.activeCell);
    }
    notebook.activate();
  }

  async #create(cwd?: string): Promise<NotebookPanel> {
    const panel: NotebookPanel = await this.#app.commands.execute("notebook:create-new", {
      kernelName: "python3",
      ...(cwd === undefined ? {} : { cwd }),
    });
    await panel.revealed;
    return panel;
  }
}
