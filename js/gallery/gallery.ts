import type { Message } from "../src/contract";
import { mount } from "../src/view/mount";
import { FakeModel } from "../tests/fake-model";
import { peek, STATES } from "../tests/fixtures";

/** Answers requests for previews. */
class Kernel extends FakeModel {
  /** It runs a cell, and receives nothing meanwhile. */
  busy = false;

  override send(message: Message): void {
    super.send(message);
    if (!this.busy) {
      this.hear();
    }
    if (message.do === "refresh") {
      setTimeout(() => this.beat());
    }
    if (message.do === "peek") {
      setTimeout(() => this.emit("msg:custom", peek({ job_id: message.job_id })));
    }
  }
}

const BEAT_MS = 1000;
const SILENT = new Set(["stale", "saved", "asked", "connecting", "ended"]);
const theme = new URLSearchParams(location.search).get("theme") ?? "light";

if (theme.startsWith("vscode")) {
  document.documentElement.dataset.jpThemeLight = "true";
  document.body.dataset.vscodeThemeKind = theme;
} else if (theme !== "none" && theme !== "forced") {
  document.documentElement.dataset.jpThemeLight = String(theme === "light");
}
if (theme === "contrast") {
  document.documentElement.dataset.jpThemeName = "JupyterLab Dark High Contrast";
}
for (const [name, traits] of Object.entries(STATES)) {
  const title = document.createElement("h2");
  title.textContent = name;
  const element = document.createElement("div");
  element.id = name;
  element.dataset.state = name;
  element.className = "jp-OutputArea-output cell-output-ipywidget-background";
  document.body.append(title, element);
  const model = new Kernel(traits());
  model.busy = name === "busy";
  model.hasKernel = name !== "saved";
  mount(model, element);
  if (!SILENT.has(name)) {
    setInterval(() => model.beat(), BEAT_MS);
  }
}
