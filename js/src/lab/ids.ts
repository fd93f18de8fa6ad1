/** The ids under which our parts are registered in JupyterLab. */

export const PLUGIN = {
  statusItem: "qsession-widget:status-item",
  sidePanel: "qsession-widget:side-panel",
} as const;

export const SIDE_PANEL = "qsession-sessions";

export const COMMAND = {
  showSessions: "qsession:show-sessions",
} as const;
