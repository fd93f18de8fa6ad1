import type { Command, Model, Traits } from "../src/contract";

/** A front-end model without a kernel: the four methods that we use, and a record of what was sent. */
export class FakeModel implements Model {
  readonly sent: Command[] = [];
  readonly #traits: Partial<Traits>;
  readonly #listeners = new Map<string, Set<(message: unknown) => void>>();

  constructor(traits: Partial<Traits>) {
    this.#traits = { ...traits };
  }

  get<K extends keyof Traits>(name: K): Traits[K] | undefined {
    return this.#traits[name];
  }

  on(event: string, callback: (message: unknown) => void): void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(callback));
  }

  off(event: string, callback: (message: unknown) => void): void {
    this.#listeners.get(event)?.delete(callback);
  }

  send(message: Command): void {
    this.sent.push(message);
  }

  /** What the kernel does: new values, then one event for each. */
  receive(traits: Partial<Traits>): void {
    Object.assign(this.#traits, traits);
    for (const name of Object.keys(traits)) {
      this.emit(`change:${name}`);
    }
  }

  /** A round of the polling thread. */
  beat(): void {
    const last = this.#traits.beat;
    const rate = last?.rate ?? 1;
    const now = rate === 1 ? Date.now() : (last?.now ?? 0) + rate * 1000;
    this.receive({
      beat: { n: (last?.n ?? 0) + 1, now, rate, every: last?.every ?? 1, at: Date.now() },
    });
  }

  emit(event: string, message?: unknown): void {
    for (const callback of this.#listeners.get(event) ?? []) {
      callback(message);
    }
  }

  get listenerCount(): number {
    return [...this.#listeners.values()].reduce((sum, each) => sum + each.size, 0);
  }
}
