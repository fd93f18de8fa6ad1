/** The card of a job that goes on: the picture that its kernel draws, and a button to cancel it. */

import { OWN_KEYS } from "../view/ui/keys";

/** The part of a front-end model that every host offers. `qsession_widget/panel/live_card.py` is the other side. */
export interface CardModel {
  get(name: "picture"): unknown;
  on(event: string, callback: (message: unknown) => void): void;
  off(event: string, callback: (message: unknown) => void): void;
  send(message: { do: "here" | "cancel" }): void;
}

/** An idle kernel has received a command by then; a busy one may have to finish its cell. */
const UNHEARD_MS = 3000;
const WAITS = "acts after the running cell";

/** Draws the picture in the frame, unless the user is selecting text of it. */
function draw(html: unknown, frame: HTMLElement, content: HTMLElement): void {
  const selection = document.getSelection();
  if (selection?.type === "Range" && content.contains(selection.anchorNode)) {
    return;
  }
  // The kernel has escaped all that comes from the service, as in the text/html of the same output.
  const [picture] = new DOMParser().parseFromString(String(html), "text/html").body.children;
  const open = [...content.querySelectorAll("details")].map((each) => each.open);
  frame.style.cssText = picture?.getAttribute("style") ?? "";
  content.replaceChildren(...(picture?.childNodes ?? []));
  content.querySelectorAll("details").forEach((each, at) => {
    each.open = open[at] ?? each.open;
  });
}

function render({ model, el }: { model: CardModel; el: HTMLElement }): () => void {
  const frame = document.createElement("section");
  frame.className = "qsw-job";
  frame.setAttribute("aria-label", "Job");
  const content = document.createElement("div");
  const bar = document.createElement("div");
  bar.className = "qsw-job-bar";
  // Shown once a kernel has answered: an exported page has none.
  bar.hidden = true;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Cancel job";
  for (const [name, value] of Object.entries(OWN_KEYS)) {
    button.setAttribute(name, value);
  }
  const said = document.createElement("span");
  said.setAttribute("role", "status");
  bar.append(button, said);
  frame.append(content, bar);
  el.append(frame);

  let late: ReturnType<typeof setTimeout> | undefined;
  const show = (name: string, words: string, rests: boolean) => {
    button.textContent = name;
    button.setAttribute("aria-disabled", String(rests));
    said.textContent = words;
  };
  const onPicture = () => draw(model.get("picture"), frame, content);
  const onMessage = (message: unknown) => {
    const { here, heard, error } = (message ?? {}) as Record<string, unknown>;
    if (here === true) {
      bar.hidden = false;
    } else if (heard === true) {
      clearTimeout(late);
      show("Cancelling…", "", true);
    } else if (typeof error === "string") {
      show("Cancel job", error, false);
    }
  };
  const onCommLost = () => {
    // The kernel is gone, or was for a moment.
    bar.hidden = true;
    model.send({ do: "here" });
  };
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-disabled") !== "true") {
      show("Cancelling…", "", true);
      late = setTimeout(() => show("Cancelling…", WAITS, true), UNHEARD_MS);
      model.send({ do: "cancel" });
    }
  });
  model.on("change:picture", onPicture);
  model.on("msg:custom", onMessage);
  model.on("comm_live_update", onCommLost);
  onPicture();
  model.send({ do: "here" });
  return () => {
    clearTimeout(late);
    model.off("change:picture", onPicture);
    model.off("msg:custom", onMessage);
    model.off("comm_live_update", onCommLost);
    frame.remove();
  };
}

export default { render };
