import { LabIcon } from "@jupyterlab/ui-components";

/** A qubit: a sphere, its equator, and a state on it. JupyterLab colours fills, so lines are areas. */
export const sessionIcon = new LabIcon({
  name: "qsession-widget:session",
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
  <g class="jp-icon3 jp-icon-selectable" fill="#616161" fill-rule="evenodd">
    <path d="M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20Zm0 2a8 8 0 1 1 0 16 8 8 0 0 1 0-16Z" />
    <path d="M12 8.4c-5 0-9.2 1.5-9.2 3.6s4.2 3.6 9.2 3.6 9.2-1.5 9.2-3.6-4.2-3.6-9.2-3.6Zm0 1.3c4.7 0 7.9 1.3 7.9 2.3s-3.2 2.3-7.9 2.3-7.9-1.3-7.9-2.3 3.2-2.3 7.9-2.3Z" />
    <path d="m11.2 11.3 4.3-5.3 1.6 1.3-4.3 5.3Z" />
    <circle cx="16.6" cy="6" r="2.3" />
  </g>
</svg>`,
});
