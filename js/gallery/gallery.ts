import { mount } from "../src/view/mount";
import { FakeModel } from "../tests/fake-model";
import { STATES } from "../tests/fixtures";

const BEAT_MS = 1000;
const SILENT = new Set(["stale", "connecting", "ended"]);
const theme = new URLSearchParams(location.search).get("theme") ?? "light";

if (theme !== "none") {
  document.documentElement.dataset.jpThemeLight = String(theme === "light");
}
for (const [name, traits] of Object.entries(STATES)) {
  const title = document.createElement("h2");
  title.textContent = name;
  const element = document.createElement("div");
  element.id = name;
  element.className = "jp-OutputArea-output";
  document.body.append(title, element);
  const model = new FakeModel(traits());
  mount(model, element);
  if (!SILENT.has(name)) {
    setInterval(() => model.beat(), BEAT_MS);
  }
}
