import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin,
} from "@jupyterlab/application";
import { ICommandPalette } from "@jupyterlab/apputils";
import { Widget } from "@lumino/widgets";
import { type Entry, registry } from "../registry";
import { COMMAND, PLUGIN, SIDE_PANEL } from "./ids";

interface Mounted {
  element: HTMLElement;
  unmount: () => void;
}

/** The sessions of the page, each once. The code that draws them comes from their kernels. */
export class SessionsPanel extends Widget {
  readonly #mounted = new Map<Entry, Mounted>();
  readonly #empty = document.createElement("p");

  constructor() {
    super();
    this.id = SIDE_PANEL;
    this.title.label = "Sessions";
    this.title.caption = "Quantum sessions of this page";
    this.addClass("qsw-sidepanel");
    Object.assign(this.node.style, { overflow: "auto", padding: "8px" });
    this.#empty.textContent = "No session is shown in an open notebook.";
    this.node.append(this.#empty);
    registry().changes.addEventListener("change", this.#sync);
  }

  override dispose(): void {
    registry().changes.removeEventListener("change", this.#sync);
    this.#clear();
    super.dispose();
  }

  protected override onAfterAttach(): void {
    this.#sync();
  }

  protected override onAfterShow(): void {
    this.#sync();
  }

  /** A hidden panel is not drawn. */
  protected override onAfterHide(): void {
    this.#clear();
  }

  protected override onBeforeDetach(): void {
    this.#clear();
  }

  readonly #sync = (): void => {
    if (!this.isAttached || !this.isVisible) {
      return;
    }
    const wanted = new Map<string, Entry>();
    for (const entry of registry().entries) {
      const key = entry.model.get("head")?.key ?? "";
      // The one that is shown stays: the user may be reading it.
      if (!wanted.has(key) || this.#mounted.has(entry)) {
        wanted.set(key, entry);
      }
    }
    const entries = new Set(wanted.values());
    for (const entry of [...this.#mounted.keys()]) {
      if (!entries.has(entry)) {
        this.#remove(entry);
      }
    }
    for (const entry of entries) {
      if (!this.#mounted.has(entry)) {
        const element = document.createElement("div");
        element.style.marginBottom = "8px";
        this.node.append(element);
        this.#mounted.set(entry, { element, unmount: entry.mount(element) });
      }
    }
    this.#empty.hidden = entries.size > 0;
  };

  #remove(entry: Entry): void {
    const mounted = this.#mounted.get(entry);
    this.#mounted.delete(entry);
    mounted?.unmount();
    mounted?.element.remove();
  }

  #clear(): void {
    for (const entry of [...this.#mounted.keys()]) {
      this.#remove(entry);
    }
  }
}

export const sidePanel: JupyterFrontEndPlugin<void> = {
  id: PLUGIN.sidePanel,
  description: "Lists the quantum sessions of the open notebooks in a side panel.",
  autoStart: true,
  optional: [ILayoutRestorer, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
  ) => {
    const panel = new SessionsPanel();
    app.shell.add(panel, "right", { rank: 700 });
    restorer?.add(panel, SIDE_PANEL);
    app.commands.addCommand(COMMAND.showSessions, {
      label: "Show Quantum Sessions",
      caption: "Show the sessions of the open notebooks in the side panel",
      execute: () => app.shell.activateById(SIDE_PANEL),
    });
    palette?.addItem({ command: COMMAND.showSessions, category: "Quantum" });
  },
};
