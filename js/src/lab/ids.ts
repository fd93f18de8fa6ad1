/** The ids under which our parts are registered in JupyterLab. */

export const PLUGIN = {
  sessions: "qsession-widget:sessions",
  statusItem: "qsession-widget:status-item",
  sidePanel: "qsession-widget:side-panel",
  savedOutputs: "qsession-widget:saved-outputs",
  documents: "qsession-widget:documents",
  commands: "qsession-widget:commands",
  launcher: "qsession-widget:launcher",
  notices: "qsession-widget:notices",
  busyKernels: "qsession-widget:busy-kernels",
  show: "qsession-widget:show",
} as const;

export const SIDE_PANEL = "qsession-sessions";

export const COMMAND = {
  showSessions: "qsession:show-sessions",
  newSession: "qsession:new-session",
  openSession: "qsession:open-session",
  goToCell: "qsession:go-to-cell",
  adopt: "qsession:adopt-session",
  cancelQueued: "qsession:cancel-queued",
  closeSession: "qsession:close-session",
  closeAll: "qsession:close-all",
  openQuickstart: "qsession:open-quickstart",
  openExample: "qsession:open-example",
} as const;

export const CATEGORY = "Quantum";
