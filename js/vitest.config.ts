import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  optimizeDeps: {
    include: [
      "preact",
      "preact/hooks",
      "preact/jsx-runtime",
      "@jupyterlab/application",
      "@jupyterlab/apputils",
      "@jupyterlab/coreutils",
      "@jupyterlab/notebook",
      "@jupyterlab/services",
      "@jupyterlab/statusbar",
      "@jupyterlab/ui-components",
      "@lumino/commands",
      "@lumino/coreutils",
      "@lumino/signaling",
      "@lumino/virtualdom",
      "@lumino/widgets",
      "axe-core",
    ],
  },
  test: {
    include: ["tests/**/*.test.ts"],
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({
        launchOptions: {
          executablePath: process.env.CHROMIUM_PATH ?? "/usr/bin/chromium",
          args: ["--no-sandbox", "--disable-gpu", "--disable-quic"],
        },
      }),
      instances: [{ browser: "chromium", viewport: { width: 960, height: 720 } }],
    },
  },
});
