import { expect, test } from "vitest";
import { mount } from "../src/view/mount";
import { FakeModel } from "./fake-model";
import { STATES } from "./fixtures";

test.each(Object.keys(STATES))("draws %s", async (name) => {
  const el = document.body.appendChild(document.createElement("div"));
  const model = new FakeModel(STATES[name]?.() ?? {});
  const unmount = mount(model, el);
  await expect.poll(() => el.querySelector("[data-testid=qsw-panel]")).not.toBeNull();
  unmount();
  expect(el.childElementCount).toBe(0);
});
