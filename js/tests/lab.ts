import type { JupyterFrontEnd } from "@jupyterlab/application";
import { type Kernel, ServerConnection, type ServiceManager } from "@jupyterlab/services";
import { CommandRegistry } from "@lumino/commands";
import { Signal } from "@lumino/signaling";
import { onTestFinished } from "vitest";
import { KnownSessions } from "../src/lab/known";
import { Notebooks } from "../src/lab/notebooks";
import type { Entry } from "../src/registry";

/** The part of JupyterLab in which the parts of the extension can be drawn, without its server. */
export class Page {
  readonly commands = new CommandRegistry();
  /** What was asked of the server: method and path. */
  readonly asked: string[] = [];
  /** Ids of the kernels that run. */
  readonly running: string[] = [];
  readonly runningChanged = new Signal<this, Kernel.IModel[]>(this);
  readonly sessions: KnownSessions;
  readonly #answer: (path: string) => [status: number, body: unknown];

  /** `answer` is the server's; without it, the server lacks our extension. */
  constructor(answer: (path: string) => [status: number, body: unknown] = () => [404, {}]) {
    this.#answer = answer;
    const app = {
      commands: this.commands,
      shell: { activateById: () => {} },
    } as unknown as JupyterFrontEnd;
    const services = {
      kernels: {
        running: () => this.running.map((id) => ({ id })).values(),
        runningChanged: this.runningChanged,
      },
      serverSettings: ServerConnection.makeSettings({
        baseUrl: "http://jupyter.example/",
        fetch: async (input: RequestInfo | URL) => this.#respond(new Request(input)),
      }),
    } as unknown as ServiceManager.IManager;
    this.sessions = new KnownSessions(services, new Notebooks(app, null, true));
    onTestFinished(() => this.sessions.dispose());
  }

  async #respond(request: Request): Promise<Response> {
    const path = new URL(request.url).pathname.replace("/qsession-widget/api/", "");
    this.asked.push(`${request.method} ${path}`);
    const [status, body] = this.#answer(path);
    return new Response(status === 204 ? null : JSON.stringify(body), { status });
  }
}

/** Give a panel a kernel, as Jupyter's widget manager does. */
export function withKernel(entry: Entry, id: string): Signal<unknown, Kernel.Status> {
  const statusChanged = new Signal<unknown, Kernel.Status>({});
  Object.assign(entry.model, { widget_manager: { kernel: { id, statusChanged } } });
  return statusChanged;
}
