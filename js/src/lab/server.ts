import { URLExt } from "@jupyterlab/coreutils";
import { ServerConnection } from "@jupyterlab/services";
import type { Countdown, Mode } from "../contract";

/**
 * What this package's extension of the Jupyter server answers: the sessions of the local runtime,
 * also those that no kernel of this page holds. Examples of each answer are in
 * `js/tests/golden/server-sessions.json`.
 */

export interface Runtime {
  clock: "real" | "scaled" | "virtual";
  /** Seconds of the runtime's clock in one. */
  rate: number;
  /** Epoch ms on the runtime's clock. */
  now: number;
}

/** Names and meaning as in `Head`. */
export interface Card {
  session_id: string;
  name: string | null;
  /** The notebook or script that opened it, such as "vqe.ipynb". */
  place: string | null;
  backend_name: string | null;
  mode: Mode | null;
  simulator: boolean;
  state: string | null;
  accepting_jobs: boolean | null;
  status: string | null;
  queued: number;
  running: number;
  finished: number;
  usage_seconds: number | null;
  countdowns: readonly Countdown[];
  /** Whether the kernel that opened it still runs. */
  kernel: "alive" | "gone" | "unknown";
  /** Epoch ms on the runtime's clock. */
  created: number;
}

export interface ServerSessions {
  /** null where no local runtime runs. */
  runtime: Runtime | null;
  sessions: readonly Card[];
}

export interface ServerJob {
  id: string;
  program: string;
  /** One of `JOB_STATES`. */
  state: string;
  /** Epoch ms on the runtime's clock. */
  created: number;
  /** ms; null until it has ended. */
  ran: number | null;
  /** In few characters; null where there is none, or the server's extension is older. */
  result?: string | null;
}

export interface ServerSession extends Card {
  jobs: readonly ServerJob[];
}

const PREFIX = "qsession-widget/api";

/** The server said no, in words for the user. */
export class Refusal extends Error {}

async function checked(response: Response): Promise<Response> {
  if (response.ok) {
    return response;
  }
  const body: unknown = await response.json().catch(() => null);
  const message =
    typeof body === "object" && body !== null && "message" in body ? body.message : null;
  throw new Refusal(
    typeof message === "string" && message !== ""
      ? message
      : `The Jupyter server answered ${response.status} ${response.statusText}.`,
  );
}

/** Behind the login of JupyterLab, which also adds the XSRF token. */
export class Server {
  readonly #settings: ServerConnection.ISettings;

  constructor(settings: ServerConnection.ISettings) {
    this.#settings = settings;
  }

  /** Return the runtime's sessions; null where the server has no such extension. */
  async sessions(): Promise<ServerSessions | null> {
    const response = await this.#ask("GET", "sessions");
    return response.status === 404 ? null : (await checked(response)).json();
  }

  /** Return a session with its jobs. */
  async session(id: string): Promise<ServerSession> {
    return (await checked(await this.#ask("GET", "sessions", id))).json();
  }

  async close(id: string): Promise<void> {
    await checked(await this.#ask("POST", "sessions", id, "close"));
  }

  async cancelQueued(id: string): Promise<void> {
    await checked(await this.#ask("POST", "sessions", id, "cancel-queued"));
  }

  async cancelJob(id: string): Promise<void> {
    await checked(await this.#ask("POST", "jobs", id, "cancel"));
  }

  #ask(method: "GET" | "POST", ...path: string[]): Promise<Response> {
    const url = URLExt.join(this.#settings.baseUrl, PREFIX, ...path.map(encodeURIComponent));
    return ServerConnection.makeRequest(url, { method, cache: "no-store" }, this.#settings);
  }
}
