import { render } from "preact";
import type { Model } from "../contract";
import { Panel } from "./panel";

/** The one way a panel gets on screen; returns what takes it off again. */
export function mount(model: Model, element: HTMLElement): () => void {
  render(<Panel model={model} />, element);
  return () => render(null, element);
}
