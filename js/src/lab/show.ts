import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { CAN_SHOW, registry, SHOW } from "../registry";
import { PLUGIN } from "./ids";
import { ISessions, type KnownSessions } from "./known";

/** Answers panels that ask to see another session: its notebook may be hidden behind theirs. */
export const show: JupyterFrontEndPlugin<void> = {
  id: PLUGIN.show,
  description: "Brings the notebook of a session to the front when another panel names it.",
  autoStart: true,
  requires: [ISessions],
  activate: (_app: JupyterFrontEnd, sessions: KnownSessions) => {
    const answer = (event: Event) => {
      const { detail } = event as CustomEvent<unknown>;
      const entry = [...registry().entries].find(
        ({ model }) => model.get("head")?.session_id === detail,
      );
      if (entry && sessions.notebooks.of(entry) !== null) {
        event.preventDefault();
        if (event.type === SHOW) {
          void sessions.notebooks.revealPanel(entry);
        }
      }
    };
    for (const name of [CAN_SHOW, SHOW]) {
      registry().changes.addEventListener(name, answer);
    }
  },
};
