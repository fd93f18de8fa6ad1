import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { Notification as Notices } from "@jupyterlab/apputils";
import { isSent, registry, type SentDetail } from "../registry";
import { PLUGIN } from "./ids";
import { ISessions, type KnownSessions } from "./known";

/** An idle kernel has answered by then. */
const HEARD_MS = 1500;

/**
 * Carries out what is clicked in a panel while its kernel is busy with a cell, by the Jupyter server:
 * at once, if the session is one of the local runtime. The kernel does it again after the cell, which
 * changes nothing any more.
 */
export class BusyKernels {
  readonly #sessions: KnownSessions;
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();

  constructor(sessions: KnownSessions) {
    this.#sessions = sessions;
    registry().changes.addEventListener("sent", this.#onSent);
  }

  dispose(): void {
    registry().changes.removeEventListener("sent", this.#onSent);
    for (const timer of this.#timers) {
      clearTimeout(timer);
    }
  }

  readonly #onSent = (event: Event): void => {
    if (isSent(event)) {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        void this.#act(event.detail);
      }, HEARD_MS);
      this.#timers.add(timer);
    }
  };

  async #act({ model, message }: SentDetail): Promise<void> {
    const heard = () => model.get("commands")?.heard.includes(message.ref) ?? false;
    const id = model.get("head")?.session_id;
    if (heard() || !id) {
      return;
    }
    if (!this.#sessions.find(id)?.served) {
      // The session may have begun since the server was asked.
      await this.#sessions.refresh();
    }
    const card = this.#sessions.find(id);
    if (heard() || !card?.served) {
      return;
    }
    try {
      switch (message.do) {
        case "close":
          return await this.#sessions.close(card);
        case "cancel_queued":
          return await this.#sessions.cancelQueued(card);
        case "cancel":
          await this.#sessions.close(card);
          return await this.#sessions.cancelQueued(card);
        case "cancel_job":
          return await this.#sessions.cancelJob(message.job_id);
        case "cancel_jobs":
          await Promise.all(message.job_ids.map((job) => this.#sessions.cancelJob(job)));
      }
    } catch (error) {
      // The kernel may have done it meanwhile.
      if (!heard()) {
        Notices.emit(error instanceof Error ? error.message : String(error), "error");
      }
    }
  }
}

export const busyKernels: JupyterFrontEndPlugin<void> = {
  id: PLUGIN.busyKernels,
  description: "Carries out clicks in panels of busy kernels by the Jupyter server.",
  autoStart: true,
  requires: [ISessions],
  activate: (_app: JupyterFrontEnd, sessions: KnownSessions): void => {
    new BusyKernels(sessions);
  },
};
