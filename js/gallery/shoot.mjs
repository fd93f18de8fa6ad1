// Builds the gallery and takes screenshots of it:
// node gallery/shoot.mjs [OUTPUT FOLDER [THEMES [WIDTHS]]]
import { copyFile, mkdir } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright";

const PAGE = "build/gallery";
const NOW = new Date("2026-01-15T12:00:00Z");
const output = process.argv[2] ?? PAGE;

await mkdir(PAGE, { recursive: true });
await mkdir(output, { recursive: true });
await build({
  entryPoints: {
    gallery: "gallery/gallery.ts",
    widget: "src/view/panel.css",
  },
  outdir: PAGE,
  bundle: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
});
await copyFile("gallery/index.html", `${PAGE}/index.html`);
await copyFile("gallery/gallery.css", `${PAGE}/gallery.css`);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM_PATH ?? "/usr/bin/chromium",
  // A module script of a file:// page counts as cross-origin.
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--allow-file-access-from-files"],
});
const THEMES = process.argv[3]?.split(",") ?? [
  ...["light", "dark", "contrast", "forced", "none"],
  ...["vscode-dark", "vscode-high-contrast"],
];
const WIDTHS = process.argv[4]?.split(",").map(Number) ?? [320, 480, 560, 760, 960, 1100, 1600];
for (const theme of THEMES) {
  for (const width of WIDTHS) {
    const page = await browser.newPage({
      viewport: { width, height: 800 },
      // The system's own high contrast; "contrast" is JupyterLab's theme.
      ...(theme === "forced" ? { forcedColors: "active", colorScheme: "dark" } : {}),
    });
    page.on("pageerror", (error) => console.error(error));
    // The pictures are the same each time, so that two sets can be compared.
    await page.clock.install({ time: NOW });
    await page.clock.pauseAt(NOW.getTime() + 1_000);
    await page.goto(`${pathToFileURL(`${PAGE}/index.html`)}?theme=${theme}`);
    await page.clock.runFor(2_000);
    const press = (state, id, which = "first") =>
      page.locator(`#${state} [data-testid=qsw-${id}]:visible`)[which]().click();
    await page.locator("#live [data-testid=qsw-open]").nth(5).click();
    await press("staged", "tab-details");
    await press("inactive", "tab-details");
    await press("idle", "tab-timeline");
    await press("ended", "tab-timeline");
    await press("many", "tab-timeline");
    await page.locator("#simulator [data-testid=qsw-open]").nth(4).click();
    await press("retrying", "open", "last");
    await press("draining", "menu");
    await press("draining", "cancel");
    await press("busy", "cancel-job");
    await press("asked", "refresh-now");
    await page.clock.runFor(5_000);
    await page.locator("#simulator .qsw-chart").first().waitFor();
    await page.locator("#busy [data-testid=qsw-waiting]").waitFor();
    await page.screenshot({ path: `${output}/${theme}-${width}.png`, fullPage: true });
    for (const state of await page.locator("[data-state]").all()) {
      const name = await state.getAttribute("data-state");
      await state.screenshot({ path: `${output}/${theme}-${width}-${name}.png` });
    }
    await page.close();
  }
}
await browser.close();
