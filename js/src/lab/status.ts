import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { IStatusBar } from "@jupyterlab/statusbar";
import { Signal } from "@lumino/signaling";
import { Widget } from "@lumino/widgets";
import { PLUGIN } from "./ids";
import { LiveSessions } from "./sessions";

/** "Sessions: 2"; hidden if there are none. */
export class StatusItem extends Widget {
  readonly activeStateChanged = new Signal<this, void>(this);
  readonly #sessions: LiveSessions;
  #active = false;

  constructor() {
    super();
    this.addClass("qsw-statusbar");
    this.addClass("jp-StatusBar-TextItem");
    this.#sessions = new LiveSessions(() => this.#draw());
    this.#draw();
  }

  get active(): boolean {
    return this.#active;
  }

  override dispose(): void {
    this.#sessions.dispose();
    super.dispose();
  }

  #draw(): void {
    const live = this.#sessions.list();
    this.node.textContent = `Sessions: ${live.length}`;
    this.node.title = live.map(({ name, word }) => `${name}: ${word}`).join("\n");
    if (this.#active !== live.length > 0) {
      this.#active = live.length > 0;
      this.activeStateChanged.emit();
    }
  }
}

export const statusItem: JupyterFrontEndPlugin<void> = {
  id: PLUGIN.statusItem,
  description: "Shows the number of live quantum sessions in the status bar.",
  autoStart: true,
  optional: [IStatusBar],
  activate: (_app: JupyterFrontEnd, statusBar: IStatusBar | null) => {
    if (statusBar) {
      const item = new StatusItem();
      statusBar.registerStatusItem(PLUGIN.statusItem, {
        item,
        align: "left",
        isActive: () => item.active,
        activeStateChanged: item.activeStateChanged,
      });
    }
  },
};
