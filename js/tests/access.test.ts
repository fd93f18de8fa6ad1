import axe from "axe-core";
import { afterEach, expect, test } from "vitest";
import { page } from "vitest/browser";
import "../gallery/gallery.css";
import { draw } from "./draw";
import { peek, STATES } from "./fixtures";

const THEMES = ["light", "dark", "contrast"] as const;

/** Of VS Code, in which the panel has other variables. */
const KINDS = ["vscode-dark", "vscode-high-contrast"] as const;

afterEach(() => {
  delete document.body.dataset.vscodeThemeKind;
});

function use(theme: (typeof THEMES)[number]): void {
  const { dataset } = document.documentElement;
  dataset.jpThemeLight = String(theme === "light");
  dataset.jpThemeName = theme === "contrast" ? "JupyterLab Dark High Contrast" : "";
}

/** Violations of WCAG 2.2 AA that axe finds, as text with their places. */
async function violations(element: HTMLElement): Promise<string[]> {
  const found = await axe.run(element, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    rules: { "label-content-name-mismatch": { enabled: true } },
  });
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary}`),
  );
}

test.each(
  Object.keys(STATES).flatMap((name) => THEMES.map((theme) => [name, theme] as const)),
)("the state %s in %s is accessible", async (name, theme) => {
  document.documentElement.lang = "en";
  use(theme);
  const { element } = draw(STATES[name]?.() ?? {}, { hasKernel: name !== "saved" });
  expect(await violations(element)).toEqual([]);
});

test.each(
  THEMES,
)("an opened row, its question and the menu in %s are accessible", async (theme) => {
  use(theme);
  const { model, element } = draw(STATES.live?.() ?? {});
  await page.getByRole("button", { name: /r0c3$/ }).click();
  await expect.poll(() => model.sent).toHaveLength(1);
  model.emit("msg:custom", peek());
  await expect.element(page.getByText("default_shots")).toBeInTheDocument();
  await page.getByTestId("qsw-close").click();
  await page.getByTestId("qsw-menu").click();
  await expect.element(page.getByTestId("qsw-cancel")).toBeVisible();
  expect(await violations(element)).toEqual([]);
});

test.each(
  ["loop", "idle", "inactive", "ended", "hostile"].flatMap((name) =>
    THEMES.map((theme) => [name, theme] as const),
  ),
)("the other tabs of %s in %s are accessible", async (name, theme) => {
  use(theme);
  const { element } = draw(STATES[name]?.() ?? {});
  await page.getByTestId("qsw-tab-timeline").click();
  await expect.element(page.getByRole("slider")).toBeVisible();
  expect(await violations(element)).toEqual([]);
  await page.getByTestId("qsw-tab-details").click();
  await expect.element(page.getByTestId("qsw-details")).toBeVisible();
  expect(await violations(element)).toEqual([]);
});

test.each(
  ["live", "waiting", "retrying", "draining"].flatMap((name) =>
    KINDS.map((kind) => [name, kind] as const),
  ),
)("the state %s in %s is accessible, and follows the host", async (name, kind) => {
  use("light");
  document.body.dataset.vscodeThemeKind = kind;
  const { element } = draw(STATES[name]?.() ?? {});
  const ground = getComputedStyle(document.body).getPropertyValue("--vscode-editor-background");
  element.style.color = ground;
  const panel = element.querySelector("[data-testid=qsw-panel]") ?? element;
  expect(getComputedStyle(panel).backgroundColor).toBe(getComputedStyle(element).color);
  element.style.color = "";
  expect(await violations(element)).toEqual([]);
});
