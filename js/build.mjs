import { spawn } from "node:child_process";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { build, context } from "esbuild";
import { sbom } from "./sbom.mjs";

const STATIC = "../qsession_widget/panel/static";
const EXAMPLES = "../examples";

/** A notebook without outputs, with its first heading. */
async function example(name) {
  const content = JSON.parse(await readFile(`${EXAMPLES}/${name}`, "utf8"));
  for (const cell of content.cells) {
    if (cell.cell_type === "code") {
      cell.outputs = [];
      cell.execution_count = null;
    }
  }
  const heading = content.cells
    .flatMap(({ source }) => [source].flat().join("").split("\n"))
    .find((line) => line.startsWith("# "));
  return { name, title: heading?.slice(2) ?? name, content };
}

/** The module `qsession:examples`, which contains the notebooks of the examples folder. */
const examples = {
  name: "examples",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^qsession:examples$/ }, ({ path }) => ({ path, namespace: "examples" }));
    onLoad({ filter: /./, namespace: "examples" }, async () => {
      const names = (await readdir(EXAMPLES)).filter((name) => name.endsWith(".ipynb")).sort();
      const notebooks = await Promise.all(names.map(example));
      return { contents: JSON.stringify(notebooks), loader: "json" };
    });
  },
};

/** Long names of our own that neither the wire nor the page knows: 1 kB less. */
const SHORTENED = [
  ...["cancellable", "consequence", "descending", "estimate", "firstQueued", "idAt", "isPending"],
  ...["nearness", "onCancel", "onConfirm", "onDismiss", "onFilter", "onOpened", "onSelect"],
  ...["onSelected", "onSort", "onToggle", "openedId", "queuePosition", "serverNow", "sortKey"],
  ...["sorting", "stageAt", "statusAt", "tally", "underway"],
];

const VIEW = {
  metafile: true,
  entryPoints: { widget: "src/view/widget.ts" },
  outdir: STATIC,
  bundle: true,
  minify: true,
  format: "esm",
  // 2 kB less than the automatic runtime, whose calls name the children.
  tsconfigRaw: {
    compilerOptions: {
      jsx: "react",
      jsxFactory: "createElement",
      jsxFragmentFactory: "Fragment",
      verbatimModuleSyntax: true,
    },
  },
  inject: ["preact"],
  mangleProps: new RegExp(`^(${SHORTENED.join("|")})$`),
  target: "es2022",
  charset: "utf8",
  logLevel: "warning",
};

// The card of a job that goes on.
const CARD = {
  entryPoints: { card: "src/card/card.ts" },
  outdir: STATIC,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  logLevel: "warning",
};

const STYLE = {
  entryPoints: { widget: "src/view/panel.css", card: "src/card/card.css" },
  outdir: STATIC,
  bundle: true,
  minify: true,
  target: "chrome123",
  charset: "utf8",
  logLevel: "warning",
};

// The page of the documentation that replays recorded sessions.
const REPLAY = {
  entryPoints: ["replay/replay.ts", "replay/replay.css"],
  outdir: "build/replay",
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022", "chrome123"],
  charset: "utf8",
  logLevel: "warning",
};

// jupyter-builder takes JavaScript; modules that JupyterLab has loaded stay imports.
const LAB = {
  entryPoints: { lab: "src/lab/index.ts", examples: "src/lab/examples.ts" },
  outdir: "build",
  bundle: true,
  // The examples are loaded when one of them is opened.
  splitting: true,
  packages: "external",
  plugins: [examples],
  format: "esm",
  target: "es2022",
  charset: "utf8",
  logLevel: "warning",
};

await mkdir(STATIC, { recursive: true });
const [view] = await Promise.all([
  build(VIEW),
  build(CARD),
  build(STYLE),
  build(REPLAY),
  build(LAB),
  // Preact is in widget.js; its licence must be distributed with it.
  copyFile("node_modules/preact/LICENSE", `${STATIC}/LICENSE-preact.txt`),
]);
const parts = JSON.stringify(await sbom(view.metafile), null, 2);
await writeFile(`${STATIC}/sbom.cdx.json`, `${parts}\n`);

if (process.argv.includes("--watch")) {
  // Each change is built again until Ctrl-C; jupyter-builder watches build/lab.js.
  for (const options of [VIEW, CARD, STYLE, REPLAY, LAB]) {
    await (await context({ ...options, logLevel: "info" })).watch();
  }
  spawn("jupyter-builder", ["watch", "."], { stdio: "inherit" });
}
