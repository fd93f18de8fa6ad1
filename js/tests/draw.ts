import { onTestFinished } from "vitest";
import "../src/view/panel.css";
import type { Traits } from "../src/contract";
import { mount } from "../src/view/mount";
import { FakeModel } from "./fake-model";

/** A panel in the page until the test is over. */
export function draw(traits: Partial<Traits>): { model: FakeModel; element: HTMLElement } {
  const element = document.body.appendChild(document.createElement("div"));
  const model = new FakeModel(traits);
  const unmount = mount(model, element);
  onTestFinished(() => {
    unmount();
    element.remove();
  });
  return { model, element };
}
