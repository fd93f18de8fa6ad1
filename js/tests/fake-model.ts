import type { Command, Message, Model, Notice, Traits } from "../src/contract";

/** A front-end model without a kernel: the four methods that we use, and a record of sent messages. */
export class FakeModel implements Model {
  /** Without the names that the view has given. */
  readonly sent: Command[] = [];
  readonly refs: string[] = [];
  looks = 0;
  /** How often a front end has said that it has the panel. */
  loaded = 0;
  /** Whether there is a kernel that answers; there is none in an exported page. */
  hasKernel = true;
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

  send({ ref, ...command }: Message): void {
    if (command.do === "here") {
      this.loaded += 1;
      if (this.hasKernel) {
        this.emit("msg:custom", { here: true });
      }
      return;
    }
    if (command.do === "look") {
      this.looks += 1;
      return;
    }
    this.sent.push(command as Command);
    this.refs.push(ref);
  }

  /** The kernel has received all commands. */
  hear(): void {
    this.receive({ commands: { heard: [...this.refs], done: this.#traits.commands?.done ?? [] } });
  }

  /** The kernel has carried out all commands. */
  answer(level: Notice["level"], text: string): void {
    const n = (this.#traits.notice?.n ?? 0) + 1;
    this.receive({
      notice: { n, level, text, command: "Close session" },
      commands: { heard: [...this.refs], done: [...this.refs] },
    });
  }

  /** Acts as the kernel: new values, then one event for each. */
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
