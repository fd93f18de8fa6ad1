import { copyFile, mkdir } from "node:fs/promises";
import { build } from "esbuild";

const STATIC = "../qsession_widget/panel/static";

await mkdir(STATIC, { recursive: true });
await Promise.all([
  build({
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
    target: "es2022",
    charset: "utf8",
    logLevel: "warning",
  }),
  build({
    entryPoints: { widget: "src/view/panel.css" },
    outdir: STATIC,
    bundle: true,
    minify: true,
    target: "chrome123",
    charset: "utf8",
    logLevel: "warning",
  }),
  // jupyter-builder takes JavaScript; modules that JupyterLab has loaded stay imports.
  build({
    entryPoints: { lab: "src/lab/index.ts" },
    outdir: "build",
    bundle: true,
    packages: "external",
    format: "esm",
    target: "es2022",
    charset: "utf8",
    logLevel: "warning",
  }),
  // Preact is in widget.js; its licence must be distributed with it.
  copyFile("node_modules/preact/LICENSE", `${STATIC}/LICENSE-preact.txt`),
]);
