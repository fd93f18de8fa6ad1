import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { Notification as Notices } from "@jupyterlab/apputils";
import { ISettingRegistry } from "@jupyterlab/settingregistry";
import { Events, KINDS, type Kind, type SessionEvent } from "./events";
import { COMMAND, PLUGIN } from "./ids";
import { ISessions, type KnownSessions } from "./known";

const SHOWN_MS = 10_000;

const LEVELS: Readonly<Record<Kind, "info" | "warning" | "error">> = {
  active: "info",
  inactive: "warning",
  endsSoon: "warning",
  jobFailed: "error",
  closed: "info",
};

/** The settings of `schema/notices.json`. */
export interface Wanted {
  kinds: ReadonlySet<Kind>;
  minutes: number;
  /** Show them outside of the page, too, while it is hidden. */
  browser: boolean;
}

export const DEFAULTS: Wanted = { kinds: new Set(KINDS), minutes: 5, browser: false };

/** Shows what happens to the sessions of the page in JupyterLab's own centre of notices. */
export class SessionNotices {
  wanted = DEFAULTS;
  readonly #sessions: KnownSessions;
  readonly #show: () => void;
  readonly #events = new Events();

  constructor(sessions: KnownSessions, show: () => void) {
    this.#sessions = sessions;
    this.#show = show;
    sessions.changed.connect(this.#look, this);
  }

  dispose(): void {
    this.#sessions.changed.disconnect(this.#look, this);
  }

  #look(): void {
    const { minutes, kinds } = this.wanted;
    const sessions = this.#sessions;
    const found = this.#events.found(sessions.onPage(), minutes, sessions.closedHere, Date.now());
    for (const event of found.filter(({ kind }) => kinds.has(kind))) {
      this.#tell(event);
    }
  }

  #tell({ kind, id, text }: SessionEvent): void {
    Notices.emit(text, LEVELS[kind], {
      autoClose: SHOWN_MS,
      actions: [{ label: "Show sessions", callback: this.#show }],
    });
    if (this.wanted.browser && document.hidden && mayTell()) {
      // The same tag in several tabs of a browser is shown once.
      new globalThis.Notification(text, { tag: `qsession-${kind}-${id}` });
    }
  }
}

function mayTell(): boolean {
  return "Notification" in globalThis && globalThis.Notification.permission === "granted";
}

/** Browsers let a page ask only when the user has just clicked in it. */
function askForPermission(): void {
  if ("Notification" in globalThis && globalThis.Notification.permission === "default") {
    Notices.emit("Notices of quantum sessions may also be shown outside of this page.", "info", {
      autoClose: false,
      actions: [
        {
          label: "Ask the browser",
          callback: () => void globalThis.Notification.requestPermission(),
        },
      ],
    });
  }
}

function read({ composite }: ISettingRegistry.ISettings): Wanted {
  const minutes = composite.endsSoonMinutes;
  return {
    kinds: new Set(KINDS.filter((kind) => composite[kind] !== false)),
    minutes: typeof minutes === "number" ? minutes : DEFAULTS.minutes,
    browser: composite.browser === true,
  };
}

export const notices: JupyterFrontEndPlugin<void> = {
  id: PLUGIN.notices,
  description: "Reports what happens to quantum sessions as notices.",
  autoStart: true,
  requires: [ISessions],
  optional: [ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    sessions: KnownSessions,
    registry: ISettingRegistry | null,
  ): void => {
    const shown = new SessionNotices(sessions, () => {
      void app.commands.execute(COMMAND.showSessions);
    });
    void registry?.load(PLUGIN.notices).then((settings) => {
      const take = () => {
        const wasOn = shown.wanted.browser;
        shown.wanted = read(settings);
        if (shown.wanted.browser && !wasOn) {
          askForPermission();
        }
      };
      settings.changed.connect(take);
      take();
    });
  },
};
