import axe from "axe-core";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { page } from "vitest/browser";
import "../src/card/card.css";
import card, { type CardModel } from "../src/card/card";

const PICTURE =
  '<div style="padding: 12px"><b>sampler</b> <span>0.5 s</span>' +
  "<details><summary>Circuit</summary>drawing</details></div>";

class Model implements CardModel {
  readonly sent: string[] = [];
  picture: unknown = PICTURE;
  readonly #listeners = new Map<string, (message: unknown) => void>();

  get(): unknown {
    return this.picture;
  }

  on(event: string, callback: (message: unknown) => void): void {
    this.#listeners.set(event, callback);
  }

  off(event: string): void {
    this.#listeners.delete(event);
  }

  send(message: { do: string }): void {
    this.sent.push(message.do);
  }

  emit(event: string, message?: unknown): void {
    this.#listeners.get(event)?.(message);
  }

  get listeners(): number {
    return this.#listeners.size;
  }
}

function open(): { model: Model; el: HTMLElement; close: () => void } {
  const model = new Model();
  const el = document.body.appendChild(document.createElement("div"));
  const close = card.render({ model, el });
  onTestFinished(() => el.remove());
  return { model, el, close };
}

const button = page.getByRole("button");

afterEach(() => {
  vi.useRealTimers();
});

test("nothing is there to press until a kernel answers, and again when it is gone", async () => {
  const { model, el, close } = open();
  expect(model.sent).toEqual(["here"]);
  expect(el.textContent).toContain("sampler");
  await expect.element(button).not.toBeInTheDocument();
  model.emit("msg:custom", { here: true });
  await expect.element(button).toBeVisible();
  const found = await axe.run(el, { rules: { "label-content-name-mismatch": { enabled: true } } });
  expect(found.violations.map(({ id }) => id)).toEqual([]);
  model.emit("comm_live_update");
  await expect.element(button).not.toBeInTheDocument();
  expect(model.sent).toEqual(["here", "here"]);
  close();
  expect([model.listeners, el.childElementCount]).toEqual([0, 0]);
});

test("a click is sent once, and its fate is told", async () => {
  const { model } = open();
  model.emit("msg:custom", { here: true });
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  await button.click();
  await button.click({ force: true });
  expect(model.sent).toEqual(["here", "cancel"]);
  await expect.element(button).toHaveTextContent("Cancelling…");
  await expect.element(button).toHaveFocus();
  const status = page.getByRole("status");
  vi.advanceTimersByTime(3000);
  await expect.element(status).toHaveTextContent("acts after the running cell");
  model.emit("msg:custom", { heard: true });
  await expect.element(status).toBeEmptyDOMElement();
  model.emit("msg:custom", { error: "<b>it is ending</b>" });
  await expect.element(status).toHaveTextContent("<b>it is ending</b>");
  await expect.element(button).toHaveTextContent("Cancel job");
  await button.click();
  expect(model.sent).toEqual(["here", "cancel", "cancel"]);
});

test("a new picture keeps what is open and selected, and the focus", async () => {
  const { model, el } = open();
  model.emit("msg:custom", { here: true });
  const details = () => el.querySelector("details") as HTMLDetailsElement;
  details().open = true;
  el.querySelector("button")?.focus();
  model.picture = PICTURE.replace("0.5 s", "1.5 s");
  model.emit("change:picture");
  expect(el.textContent).toContain("1.5 s");
  expect(details().open).toBe(true);
  await expect.element(button).toHaveFocus();
  document.getSelection()?.selectAllChildren(el.querySelector("b") as HTMLElement);
  model.picture = PICTURE.replace("0.5 s", "2.5 s");
  model.emit("change:picture");
  expect(el.textContent).toContain("1.5 s");
  document.getSelection()?.removeAllRanges();
  model.emit("change:picture");
  expect(el.textContent).toContain("2.5 s");
  expect(getComputedStyle(el.firstElementChild as Element).padding).toBe("12px");
});
