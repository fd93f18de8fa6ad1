import type { Model } from "../contract";
import { announce, type Entry, withdraw } from "../registry";
import { mount } from "./mount";
import { named } from "./state/pending";

function initialize({ model }: { model: Model }): () => void {
  const entry: Entry = { model, mount: (element) => mount(model, element) };
  const onBeat = () => announce(entry);
  // The kernel is gone, or was for a moment: the next beat decides.
  const onCommLost = () => withdraw(entry);
  model.on("change:beat", onBeat);
  model.on("comm_live_update", onCommLost);
  announce(entry);
  model.send(named({ do: "here" }));
  return () => {
    model.off("change:beat", onBeat);
    model.off("comm_live_update", onCommLost);
    withdraw(entry);
  };
}

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  return mount(model, el);
}

export default { initialize, render };
