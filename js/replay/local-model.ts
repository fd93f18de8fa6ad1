import type { Message, Model, Traits } from "../src/contract";

/** A front-end model without a kernel: traits, and who listens to them. */
export abstract class LocalModel implements Model {
  protected readonly listeners = new Map<string, Set<(message: unknown) => void>>();
  readonly #traits: Record<string, unknown>;

  constructor(traits: Partial<Traits> = {}) {
    this.#traits = { ...traits };
  }

  abstract send(message: Message): void;

  get<K extends keyof Traits>(name: K): Traits[K] | undefined {
    return this.#traits[name] as Traits[K] | undefined;
  }

  on(event: string, callback: (message: unknown) => void): void {
    const listeners = this.listeners.get(event) ?? new Set();
    this.listeners.set(event, listeners.add(callback));
  }

  off(event: string, callback: (message: unknown) => void): void {
    this.listeners.get(event)?.delete(callback);
  }

  /** Acts as the kernel: new values, then one event for each. */
  receive(traits: Partial<Traits>): void {
    Object.assign(this.#traits, traits);
    for (const name of Object.keys(traits)) {
      this.emit(`change:${name}`);
    }
  }

  emit(event: string, message?: unknown): void {
    for (const callback of this.listeners.get(event) ?? []) {
      callback(message);
    }
  }
}
