import { render } from "preact";
import type { Model } from "../contract";
import { Panel } from "./panel";

/** Draws a panel on screen; returns a function that removes it. */
export function mount(model: Model, element: HTMLElement): () => void {
  render(<Panel model={model} />, element);
  return () => render(null, element);
}
