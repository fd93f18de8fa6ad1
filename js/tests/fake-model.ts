import { LocalModel } from "../replay/local-model";
import type { Command, Message, Notice } from "../src/contract";

/** A front-end model without a kernel, and a record of sent messages. */
export class FakeModel extends LocalModel {
  /** Without the names that the view has given. */
  readonly sent: Command[] = [];
  readonly refs: string[] = [];
  looks = 0;
  /** How often a front end has said that it has the panel. */
  loaded = 0;
  /** Whether there is a kernel that answers; there is none in an exported page. */
  hasKernel = true;

  override send({ ref, ...command }: Message): void {
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
    this.receive({ commands: { heard: [...this.refs], done: this.get("commands")?.done ?? [] } });
  }

  /** The kernel has carried out all commands. */
  answer(level: Notice["level"], text: string): void {
    const n = (this.get("notice")?.n ?? 0) + 1;
    this.receive({
      notice: { n, level, text, command: "Close session" },
      commands: { heard: [...this.refs], done: [...this.refs] },
    });
  }

  /** A round of the polling thread. */
  beat(): void {
    const last = this.get("beat");
    const rate = last?.rate ?? 1;
    const now = rate === 1 ? Date.now() : (last?.now ?? 0) + rate * 1000;
    this.receive({
      beat: { n: (last?.n ?? 0) + 1, now, rate, every: last?.every ?? 1, at: Date.now() },
    });
  }

  get listenerCount(): number {
    return [...this.listeners.values()].reduce((sum, each) => sum + each.size, 0);
  }
}
