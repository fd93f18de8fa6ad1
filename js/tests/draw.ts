import { onTestFinished } from "vitest";
import "../src/view/panel.css";
import type { Traits } from "../src/contract";
import { mount } from "../src/view/mount";
import { FakeModel } from "./fake-model";

/** A panel in the page until the test is over; without a kernel, it shows what was saved. */
export function draw(
  traits: Partial<Traits>,
  { hasKernel = true } = {},
): { model: FakeModel; element: HTMLElement } {
  const element = document.body.appendChild(document.createElement("div"));
  const model = new FakeModel(traits);
  model.hasKernel = hasKernel;
  const unmount = mount(model, element);
  onTestFinished(() => {
    unmount();
    element.remove();
  });
  return { model, element };
}
