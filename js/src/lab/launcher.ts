import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { ILauncher } from "@jupyterlab/launcher";
import { CATEGORY, COMMAND, PLUGIN } from "./ids";

export const launcher: JupyterFrontEndPlugin<void> = {
  id: PLUGIN.launcher,
  description: "Offers a new quantum session and the quickstart in the launcher.",
  autoStart: true,
  optional: [ILauncher],
  activate: (_app: JupyterFrontEnd, launcher: ILauncher | null) => {
    for (const [rank, command] of [COMMAND.newSession, COMMAND.openQuickstart].entries()) {
      launcher?.add({ command, category: CATEGORY, rank, args: { isLauncher: true } });
    }
  },
};
