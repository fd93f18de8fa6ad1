import type { Message, Model } from "./contract";

/**
 * The page-wide meeting point of panels (whose code comes from a kernel) and the JupyterLab
 * extension (whose code comes from the server). Their versions may differ and either may come
 * first, so it holds plain data only: a set, and an event target that reports its changes.
 */
export interface Entry {
  readonly model: Model;
  /** Draws the panel into an element; returns a function that removes it. */
  readonly mount: (element: HTMLElement) => () => void;
}

export interface Registry {
  readonly entries: Set<Entry>;
  readonly changes: EventTarget;
}

/** Events of `changes` with a session's id: the extension cancels those that it answers. */
export const SHOW = "show";
export const CAN_SHOW = "can-show";

const CONTRACT = "qsession-widget.registry/";
/** Its number is that of the contract: what either side cannot do without is not changed under it. */
const KEY = Symbol.for("qsession-widget.registry/1");

type Page = typeof globalThis & { [KEY]?: Registry };

export function registry(): Registry {
  const page = globalThis as Page;
  page[KEY] ??= { entries: new Set(), changes: new EventTarget() };
  return page[KEY];
}

/** Whether a kernel of this page has a release of this package with another contract. */
export function hasOtherContract(): boolean {
  return Object.getOwnPropertySymbols(globalThis).some(
    (key) => key !== KEY && key.description?.startsWith(CONTRACT),
  );
}

/** Whether the extension can show a session, or does so. */
export function request(name: typeof SHOW | typeof CAN_SHOW, sessionId: string): boolean {
  const event = new CustomEvent(name, { detail: sessionId, cancelable: true });
  return !registry().changes.dispatchEvent(event);
}

export function announce(entry: Entry): void {
  const { entries, changes } = registry();
  if (!entries.has(entry)) {
    entries.add(entry);
    changes.dispatchEvent(new Event("change"));
  }
}

export function withdraw(entry: Entry): void {
  const { entries, changes } = registry();
  if (entries.delete(entry)) {
    changes.dispatchEvent(new Event("change"));
  }
}

/** A command that a panel has sent to its kernel, which may be busy. */
export interface SentDetail {
  readonly model: Model;
  readonly message: Message;
}

export function reportSent(model: Model, message: Message): void {
  const detail: SentDetail = { model, message };
  registry().changes.dispatchEvent(new CustomEvent("sent", { detail }));
}

export function isSent(event: Event): event is CustomEvent<SentDetail> {
  return event instanceof CustomEvent && event.type === "sent";
}
