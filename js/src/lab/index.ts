import { busyKernels } from "./busy";
import { commands } from "./commands";
import { documents } from "./fullpanel";
import { knownSessions } from "./known";
import { launcher } from "./launcher";
import { notices } from "./notices";
import { savedOutputs } from "./outputs";
import { show } from "./show";
import { sidePanel } from "./sidepanel";
import { statusItem } from "./status";

export default [
  knownSessions,
  statusItem,
  sidePanel,
  documents,
  commands,
  launcher,
  notices,
  busyKernels,
  show,
  savedOutputs,
];
