import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import {
  Dialog,
  ICommandPalette,
  InputDialog,
  Notification,
  showDialog,
} from "@jupyterlab/apputils";
import type { ReadonlyPartialJSONObject } from "@lumino/coreutils";
import { consequence } from "../view/ui/consequence";
import { count } from "../view/ui/format";
import type { SessionCard } from "./cards";
import { NEW_SESSION, resume } from "./cells";
import type { Example } from "./examples";
import { sessionIcon } from "./icon";
import { CATEGORY, COMMAND, PLUGIN } from "./ids";
import { ISessions, type KnownSessions } from "./known";

type Args = ReadonlyPartialJSONObject;

const QUICKSTART = "quickstart.ipynb";

/** The notebooks of the package. They are large, so they are loaded when one is opened. */
async function examples(): Promise<readonly Example[]> {
  return (await import("./examples")).default;
}

/** Tell the user about what failed after a click; nothing waits for its result. */
async function told(action: Promise<unknown>): Promise<void> {
  try {
    await action;
  } catch (error) {
    Notification.error(error instanceof Error ? error.message : String(error));
  }
}

/** Whether the user means it. */
async function confirmed(title: string, body: string, accept: string): Promise<boolean> {
  const { button } = await showDialog({
    title,
    body,
    buttons: [Dialog.cancelButton({ label: "Keep" }), Dialog.warnButton({ label: accept })],
    defaultButton: 0,
  });
  return button.accept;
}

class Actions {
  readonly #sessions: KnownSessions;
  readonly #app: JupyterFrontEnd;

  constructor(app: JupyterFrontEnd, sessions: KnownSessions) {
    this.#app = app;
    this.#sessions = sessions;
  }

  /**
   * The sessions that a command may mean: that of its argument, else those of the notebook or
   * panel in which the user is, else all.
   */
  candidates(args: Args, can: (card: SessionCard) => boolean): SessionCard[] {
    const cards = this.#sessions.cards().filter(can);
    if (typeof args.id === "string") {
      return cards.filter(({ id }) => id === args.id);
    }
    const current = this.#app.shell.currentWidget;
    const near = cards.filter(
      ({ id, path }) =>
        current?.id === `qsession-panel-${id}` ||
        (path !== null && this.#sessions.notebooks.at(path)?.id === current?.id),
    );
    return near.length > 0 ? near : cards;
  }

  /** The one that the user means; null if they change their mind. */
  async choose(title: string, args: Args, can: (card: SessionCard) => boolean) {
    const cards = this.candidates(args, can);
    if (cards.length < 2) {
      return cards[0] ?? null;
    }
    const names = cards.map(
      ({ title: name, id, word }, at) => `${at + 1}. ${name} (${id.slice(0, 8)}), ${word}`,
    );
    const { value } = await InputDialog.getItem({ title, items: names, label: "Session" });
    return value === null ? null : (cards[names.indexOf(value)] ?? null);
  }

  async openExample({ name, content }: Example, cwd: unknown): Promise<void> {
    const { contents } = this.#app.serviceManager;
    const folder = typeof cwd === "string" ? cwd : "";
    const path = folder === "" ? name : `${folder}/${name}`;
    // A copy that is there may hold the user's work.
    const exists = await contents.get(path, { content: false }).then(
      () => true,
      () => false,
    );
    if (!exists) {
      await contents.save(path, { type: "notebook", format: "json", content });
    }
    await this.#app.commands.execute("docmanager:open", { path });
  }
}

const canCancel = ({ queued, served, entry }: SessionCard) =>
  queued > 0 && (served || entry !== null);
const canClose = ({ accepting, served, entry, where }: SessionCard) =>
  accepting && (served || (entry !== null && where === "here"));

/** A command for one session: that of its arguments, the only one, or the one that is chosen. */
interface CardCommand {
  label: string;
  caption: string;
  /** Title of the dialog in which the session is chosen. */
  question: string;
  can: (card: SessionCard) => boolean;
  execute: (card: SessionCard) => Promise<void>;
}

export const commands: JupyterFrontEndPlugin<void> = {
  id: PLUGIN.commands,
  description: "Commands for quantum sessions.",
  autoStart: true,
  requires: [ISessions],
  optional: [ICommandPalette],
  activate: (app: JupyterFrontEnd, sessions: KnownSessions, palette: ICommandPalette | null) => {
    const actions = new Actions(app, sessions);
    const { notebooks } = sessions;
    const onCard = (id: string, { question, can, execute, ...names }: CardCommand) => {
      app.commands.addCommand(id, {
        ...names,
        isEnabled: (args) => actions.candidates(args, can).length > 0,
        execute: async (args) => {
          const card = await actions.choose(question, args, can);
          if (card !== null) {
            await execute(card);
          }
        },
      });
    };
    const canReveal = ({ entry }: SessionCard) => entry !== null && notebooks.of(entry) !== null;
    const canAdopt = ({ sessionId, entry }: SessionCard) =>
      notebooks.canInsert && sessionId !== null && entry === null;

    app.commands.addCommand(COMMAND.newSession, {
      label: ({ isLauncher }) => (isLauncher ? "Session" : "New Quantum Session"),
      caption: "Insert a cell that opens a session, runs a job and closes it",
      icon: sessionIcon,
      isEnabled: () => notebooks.canInsert,
      execute: ({ isLauncher, cwd }) =>
        told(
          notebooks.insert(
            NEW_SESSION,
            isLauncher ? null : notebooks.current,
            typeof cwd === "string" ? cwd : undefined,
          ),
        ),
    });
    onCard(COMMAND.goToCell, {
      label: "Go to the Session's Cell",
      caption: "Show the cell that opened the session",
      question: "Go to the cell of",
      can: canReveal,
      execute: async ({ entry }) => {
        if (entry !== null) {
          await told(notebooks.revealOpening(entry));
        }
      },
    });
    onCard(COMMAND.adopt, {
      label: "Hold the Session in a Notebook",
      caption: "Insert a cell that holds a session whose kernel is gone or elsewhere",
      question: "Hold in a notebook",
      can: canAdopt,
      execute: async ({ sessionId, path, served }) => {
        if (sessionId !== null) {
          const own = path === null ? null : notebooks.at(path);
          await told(notebooks.insert(resume(sessionId, served), own ?? notebooks.current));
        }
      },
    });
    onCard(COMMAND.cancelQueued, {
      label: "Cancel a Session's Queued Jobs",
      caption: "Cancel the jobs of a session that have not started",
      question: "Cancel the queued jobs of",
      can: canCancel,
      execute: async (card) => {
        const name = "Cancel queued jobs";
        if (
          await confirmed(`${name} of ${card.title}?`, consequence("cancel_queued", card), name)
        ) {
          await told(sessions.cancelQueued(card));
        }
      },
    });
    onCard(COMMAND.closeSession, {
      label: "Close a Session",
      caption: "Let a session take no new jobs, and end when it has finished those it has",
      question: "Close",
      can: canClose,
      execute: async (card) => {
        if (await confirmed(`Close ${card.title}?`, consequence("close", card), "Close session")) {
          await told(sessions.close(card));
        }
      },
    });
    app.commands.addCommand(COMMAND.closeAll, {
      label: "Close All Sessions",
      caption: "Let all sessions take no new jobs, and end when they have finished those they have",
      isEnabled: () => sessions.cards().some(canClose),
      execute: async () => {
        const cards = sessions.cards().filter(canClose);
        const names = cards.map(({ title }) => title).join(", ");
        const sum = {
          queued: cards.reduce((all, { queued }) => all + queued, 0),
          running: cards.reduce((all, { running }) => all + running, 0),
        };
        const name = `Close ${count(cards.length, "session")}`;
        if (await confirmed(`${name}?`, `${names}. ${consequence("close", sum)}`, name)) {
          await told(Promise.all(cards.map((card) => sessions.close(card))));
        }
      },
    });
    app.commands.addCommand(COMMAND.openQuickstart, {
      label: ({ isLauncher }) => (isLauncher ? "Quickstart" : "Open the Quantum Quickstart"),
      caption: "Open the notebook that shows what a session is, on this machine, in a minute",
      icon: sessionIcon,
      execute: async ({ cwd }) => {
        const found = (await examples()).find(({ name }) => name === QUICKSTART);
        if (found) {
          await told(actions.openExample(found, cwd));
        }
      },
    });
    app.commands.addCommand(COMMAND.openExample, {
      label: "Open a Quantum Example …",
      caption: "Choose one of the example notebooks and open a copy of it",
      icon: sessionIcon,
      execute: async ({ name, cwd }) => {
        const all = await examples();
        const titles = all.map(({ title }) => title);
        const asked = typeof name === "string" ? all.findIndex((each) => each.name === name) : -1;
        const { value } =
          asked >= 0
            ? { value: titles[asked] }
            : await InputDialog.getItem({
                title: "Open an example",
                items: titles,
                label: "Notebook",
              });
        const found = all.find(({ title }) => title === value);
        if (found) {
          await told(actions.openExample(found, cwd));
        }
      },
    });
    for (const command of [
      COMMAND.newSession,
      COMMAND.goToCell,
      COMMAND.adopt,
      COMMAND.cancelQueued,
      COMMAND.closeSession,
      COMMAND.closeAll,
      COMMAND.openQuickstart,
      COMMAND.openExample,
    ]) {
      palette?.addItem({ command, category: CATEGORY });
    }
    // Menus and the palette follow what can be done; sessions change each second.
    let last = "";
    sessions.changed.connect(() => {
      const now = JSON.stringify(
        sessions
          .cards()
          .map((card) => [card.id, canCancel(card), canClose(card), canReveal(card), card.where]),
      );
      if (now !== last) {
        last = now;
        app.commands.notifyCommandChanged();
      }
    });
  },
};
