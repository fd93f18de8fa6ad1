import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { IStatusBar } from "@jupyterlab/statusbar";
import { Signal } from "@lumino/signaling";
import { Widget } from "@lumino/widgets";
import { clock, count } from "../view/ui/format";
import { IDLE_PAID, type SessionCard } from "./cards";
import { COMMAND, PLUGIN } from "./ids";
import { ISessions, type KnownSessions } from "./known";

/** Whether something says how the session is now. */
function isLive({ where, served }: SessionCard): boolean {
  return where === "here" || served;
}

/** "Sessions: 2 · 3 pending · 0:42"; hidden if there are none. */
export class StatusItem extends Widget {
  readonly activeStateChanged = new Signal<this, void>(this);
  readonly #sessions: Pick<KnownSessions, "cards" | "changed">;
  #active = false;

  constructor(sessions: Pick<KnownSessions, "cards" | "changed">, onClick: () => void) {
    super({ node: document.createElement("button") });
    this.addClass("qsw-statusbar");
    this.addClass("jp-StatusBar-TextItem");
    this.node.setAttribute("type", "button");
    this.node.addEventListener("click", onClick);
    this.#sessions = sessions;
    sessions.changed.connect(this.#draw, this);
    this.#draw();
  }

  get active(): boolean {
    return this.#active;
  }

  override dispose(): void {
    this.#sessions.changed.disconnect(this.#draw, this);
    super.dispose();
  }

  #draw(): void {
    const live = this.#sessions.cards().filter(isLive);
    const pending = live.reduce((sum, { queued, running }) => sum + queued + running, 0);
    const [next] = live
      .flatMap(({ countdown }) => (countdown ? [countdown] : []))
      .sort((one, other) => one.left - other.left);
    const isPaid = live.some(({ word }) => word === IDLE_PAID);
    const words = [
      `Sessions: ${live.length}`,
      ...(pending > 0 ? [`${pending} pending`] : []),
      ...(isPaid ? ["idle on paid time"] : []),
      ...(next ? [clock(next.left, next.total)] : []),
    ];
    const text = words.join(" · ");
    if (this.node.textContent !== text) {
      this.node.textContent = text;
    }
    this.node.title = [
      ...live.map((card) => `${card.title}: ${card.word}, ${pendingWords(card)}`),
      "Click to show the quantum sessions",
    ].join("\n");
    this.toggleClass("qsw-mod-paid", isPaid);
    if (this.#active !== live.length > 0) {
      this.#active = live.length > 0;
      this.activeStateChanged.emit();
    }
  }
}

function pendingWords({ queued, running }: SessionCard): string {
  return queued + running === 0 ? "no jobs pending" : `${count(queued + running, "job")} pending`;
}

export const statusItem: JupyterFrontEndPlugin<void> = {
  id: PLUGIN.statusItem,
  description: "Shows live quantum sessions, pending jobs and the next deadline in the status bar.",
  autoStart: true,
  requires: [ISessions],
  optional: [IStatusBar],
  activate: (app: JupyterFrontEnd, sessions: KnownSessions, statusBar: IStatusBar | null) => {
    if (statusBar) {
      const show = () => void app.commands.execute(COMMAND.showSessions);
      const item = new StatusItem(sessions, show);
      statusBar.registerStatusItem(PLUGIN.statusItem, {
        item,
        align: "left",
        isActive: () => item.active,
        activeStateChanged: item.activeStateChanged,
      });
    }
  },
};
