import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin,
} from "@jupyterlab/application";
import { WidgetTracker } from "@jupyterlab/apputils";
import { PathExt } from "@jupyterlab/coreutils";
import type { CommandRegistry } from "@lumino/commands";
import { Widget } from "@lumino/widgets";
import type { Entry } from "../registry";
import { sessionIcon } from "./icon";
import { COMMAND, PLUGIN } from "./ids";
import { ISessions, type KnownSessions } from "./known";

/** What a full panel needs to be drawn again after a reload. */
export interface Shown {
  id: string;
  title: string;
  /** Of the notebook that holds the session. */
  path: string | null;
}

/** A session's whole panel as a document of its own. The code that draws it comes from its kernel. */
export class FullPanel extends Widget {
  readonly shown: Shown;
  readonly #sessions: KnownSessions;
  readonly #commands: CommandRegistry;
  #mounted: { entry: Entry; unmount: () => void } | null = null;

  constructor(shown: Shown, sessions: KnownSessions, commands: CommandRegistry) {
    super();
    this.shown = shown;
    this.#sessions = sessions;
    this.#commands = commands;
    this.id = `qsession-panel-${shown.id}`;
    this.addClass("qsw-document");
    this.title.label = shown.title;
    this.title.caption = `Quantum session ${shown.title}`;
    this.title.icon = sessionIcon;
    this.title.closable = true;
    this.node.tabIndex = -1;
    sessions.changed.connect(this.#sync, this);
  }

  override dispose(): void {
    this.#sessions.changed.disconnect(this.#sync, this);
    this.#clear();
    super.dispose();
  }

  protected override onActivateRequest(): void {
    const first = this.node.querySelector<HTMLElement>("[data-testid=qsw-panel], button");
    (first ?? this.node).focus();
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

  #sync(): void {
    if (!this.isAttached || !this.isVisible) {
      return;
    }
    const entry = this.#sessions.entryOf(this.shown.id);
    if (entry !== null && entry === this.#mounted?.entry) {
      return;
    }
    if (entry === null) {
      this.#tell();
      return;
    }
    this.#clear();
    this.node.replaceChildren();
    const element = this.node.appendChild(document.createElement("div"));
    this.#mounted = { entry, unmount: entry.mount(element) };
  }

  /** Say why there is nothing to see, and offer what helps. */
  #tell(): void {
    const { id, title, path } = this.shown;
    const card = this.#sessions.find(id);
    const notebook = path === null ? null : PathExt.basename(path);
    const [words, command, name] =
      card?.where === "gone"
        ? [`The kernel of ${title} is gone.`, COMMAND.adopt, "Resume in a notebook"]
        : notebook !== null && path !== null && !this.#sessions.notebooks.at(path)
          ? [`${title} is shown by ${notebook}, which is not open.`, "docmanager:open", "Open it"]
          : card
            ? [`No notebook of this page shows ${title}.`, COMMAND.adopt, "Show it in a notebook"]
            : [`${title} is not shown by an open notebook, or has ended.`, null, null];
    if (this.node.dataset.words === words) {
      return;
    }
    this.#clear();
    const text = document.createElement("p");
    text.textContent = words;
    const box = document.createElement("div");
    box.className = "qsw-document-empty";
    box.append(text);
    if (command !== null) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "qsw-lab-button";
      button.textContent = name;
      button.addEventListener("click", () => void this.#commands.execute(command, { id, path }));
      box.append(button);
    }
    this.node.dataset.words = words;
    this.node.replaceChildren(box);
  }

  #clear(): void {
    delete this.node.dataset.words;
    this.#mounted?.unmount();
    this.#mounted = null;
    this.node.replaceChildren();
  }
}

export const documents: JupyterFrontEndPlugin<void> = {
  id: PLUGIN.documents,
  description: "Shows a quantum session's whole panel in the main area, also after a reload.",
  autoStart: true,
  requires: [ISessions],
  optional: [ILabShell, ILayoutRestorer],
  activate: (
    app: JupyterFrontEnd,
    sessions: KnownSessions,
    labShell: ILabShell | null,
    restorer: ILayoutRestorer | null,
  ) => {
    const tracker = new WidgetTracker<FullPanel>({ namespace: "qsession-panels" });
    app.commands.addCommand(COMMAND.openSession, {
      label: "Open the Session's Panel",
      caption: "Show the session's whole panel in the main area",
      isEnabled: ({ id }) => typeof id === "string",
      isVisible: ({ id }) => typeof id === "string",
      execute: async ({ id, title, path }) => {
        const shown: Shown = {
          id: String(id),
          title: typeof title === "string" ? title : String(id),
          path: typeof path === "string" ? path : null,
        };
        const known = tracker.find((panel) => panel.shown.id === shown.id);
        const panel = known ?? new FullPanel(shown, sessions, app.commands);
        if (!known) {
          const other = tracker.currentWidget;
          // Beside the notebook; others where the first one was moved to. Notebook's main area
          // has room for one document only.
          const options = other
            ? { mode: "tab-after" as const, ref: other.id }
            : { mode: "split-right" as const };
          app.shell.add(panel, labShell ? "main" : "down", options);
          await tracker.add(panel);
        }
        app.shell.activateById(panel.id);
        return panel;
      },
    });
    void restorer?.restore(tracker, {
      command: COMMAND.openSession,
      args: ({ shown }) => ({ ...shown }),
      name: ({ id }) => id,
    });
  },
};
