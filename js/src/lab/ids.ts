/** Every id by which JupyterLab knows something of ours. */

export const PLUGIN = {
  statusItem: "qsession-widget:status-item",
} as const;
