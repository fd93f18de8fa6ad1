import {
  ILabShell,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin,
} from "@jupyterlab/application";
import { PathExt } from "@jupyterlab/coreutils";
import { INotebookTracker } from "@jupyterlab/notebook";
import type { Kernel, ServiceManager } from "@jupyterlab/services";
import { Token } from "@lumino/coreutils";
import { type ISignal, Signal } from "@lumino/signaling";
import { CLOSED, type Head } from "../contract";
import type { Entry } from "../registry";
import { named } from "../view/state/pending";
import { lostCard, pageCard, type SessionCard, serverCard, type Where } from "./cards";
import { PLUGIN } from "./ids";
import { kernelOf, Notebooks } from "./notebooks";
import { type Card, type Runtime, Server, type ServerSession } from "./server";
import { type PageSession, PageSessions } from "./sessions";

/** How often the server is asked: while its answers are on screen, and otherwise. */
const SEEN_MS = 2000;
const UNSEEN_MS = 15_000;

/** The sessions of one notebook, or of those that no notebook of this page shows. */
export interface Group {
  /** Of the notebook; null for sessions that no notebook of this page holds. */
  path: string | null;
  name: string;
  cards: readonly SessionCard[];
}

/** Where a panel's kernel was when it was first seen. */
interface Origin {
  kernel: string;
  path: string | null;
  /** The kernel restarted or died: nothing of it comes back. */
  gone: boolean;
}

/** A session whose panel has gone from the page while it was open. */
interface Lost {
  session: PageSession;
  origin: Origin | undefined;
  /** Browser time in ms when it was lost. */
  at: number;
  /** The server has listed it: when it does so no more, the session has ended. */
  served: boolean;
}

const ENDING: ReadonlySet<string> = new Set([
  "restarting",
  "autorestarting",
  "terminating",
  "dead",
]);

function hasEnded({ status, state }: Head): boolean {
  return status === CLOSED || state === "closed";
}

/** What this page knows of sessions, from its kernels and from the Jupyter server. */
export class KnownSessions {
  readonly notebooks: Notebooks;
  /** Ids of the sessions that were closed by this page through the server. */
  readonly closedHere = new Set<string>();
  readonly #kernels: Kernel.IManager;
  readonly #server: Server;
  readonly #page: PageSessions;
  readonly #changed = new Signal<this, void>(this);
  readonly #origins = new Map<Entry, Origin>();
  readonly #lost = new Map<string, Lost>();
  #last: ReadonlyMap<string, PageSession> = new Map();
  #answer: { at: number; runtime: Runtime | null; cards: ReadonlyMap<string, Card> } | null = null;
  #hasServer = true;
  #watchers = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(services: ServiceManager.IManager, notebooks: Notebooks) {
    this.notebooks = notebooks;
    this.#kernels = services.kernels;
    this.#server = new Server(services.serverSettings);
    this.#page = new PageSessions(() => this.#onChange());
    this.#kernels.runningChanged.connect(this.#emit, this);
    document.addEventListener("visibilitychange", this.#onVisible);
    this.#onChange();
    void this.#ask();
  }

  /** Emitted at each change, and each second, as times count down. */
  get changed(): ISignal<this, void> {
    return this.#changed;
  }

  /** Every session that has not ended, each once. */
  cards(): SessionCard[] {
    const cards = new Map<string, SessionCard>();
    const page = this.#page.list();
    // The server's last answer may be older.
    const ended = new Set(page.flatMap(({ head }) => (hasEnded(head) ? [head.session_id] : [])));
    for (const session of page.filter(({ head }) => !hasEnded(head))) {
      const card = this.#pageCard(session);
      cards.set(card.id, card);
    }
    for (const [id, { session, origin }] of this.#lost) {
      const where = this.#whereIs(origin);
      if (!cards.has(id) && where !== "silent") {
        const card = this.#served(id) ?? lostCard(session);
        cards.set(id, { ...card, where, path: origin?.path ?? null });
      }
    }
    for (const id of this.#answer?.cards.keys() ?? []) {
      const card = cards.has(id) || ended.has(id) ? null : this.#served(id);
      if (card) {
        const notebook = card.place === null ? null : this.notebooks.named(card.place);
        cards.set(id, { ...card, path: notebook?.context.path ?? null });
      }
    }
    return [...cards.values()];
  }

  groups(): Group[] {
    const groups = new Map<string, Group & { cards: SessionCard[] }>();
    for (const card of this.cards()) {
      const path = card.path !== null && this.notebooks.at(card.path) ? card.path : null;
      const name = path === null ? groupOf(card) : PathExt.basename(path);
      const key = JSON.stringify([path, name]);
      const group = groups.get(key) ?? { path, name, cards: [] };
      group.cards.push(card);
      groups.set(key, group);
    }
    const last = ({ path }: Group) => Number(path === null);
    return [...groups.values()].sort((one, other) => last(one) - last(other));
  }

  /** The session with an id; undefined if it has ended or was never known. */
  find(id: string): SessionCard | undefined {
    return this.cards().find((card) => card.id === id);
  }

  /** The panel of a session in this page, also after it has ended. */
  entryOf(id: string): Entry | null {
    const found = this.#page.list().find(({ head }) => (head.session_id ?? head.key) === id);
    return found?.entry ?? null;
  }

  /** Every session of a panel of this page, also those that have ended. */
  onPage(): PageSession[] {
    return this.#page.list();
  }

  async close(card: SessionCard): Promise<void> {
    await this.#act(card, "close");
  }

  async cancelQueued(card: SessionCard): Promise<void> {
    await this.#act(card, "cancel_queued");
  }

  async cancelJob(id: string): Promise<void> {
    await this.#server.cancelJob(id);
    await this.#ask();
  }

  /** Ask the server now. */
  refresh(): Promise<void> {
    return this.#ask();
  }

  /** Return a session of the local runtime with its jobs. */
  details(id: string): Promise<ServerSession> {
    return this.#server.session(id);
  }

  /** Forget a session that this page has lost. */
  forget(id: string): void {
    this.#lost.delete(id);
    this.#emit();
  }

  /** Ask the server often, until what is returned is called. */
  watch(): () => void {
    this.#watchers += 1;
    void this.#ask();
    let over = false;
    return () => {
      this.#watchers -= over ? 0 : 1;
      over = true;
    };
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#hasServer = false;
    document.removeEventListener("visibilitychange", this.#onVisible);
    this.#page.dispose();
    // Its own signal, and what it hears of kernels.
    Signal.clearData(this);
  }

  async #act(card: SessionCard, command: "close" | "cancel_queued"): Promise<void> {
    const { served, sessionId, entry } = card;
    if (served && sessionId !== null) {
      if (command === "close") {
        this.closedHere.add(sessionId);
      }
      // Not through the kernel, which may be busy with a cell.
      await (command === "close"
        ? this.#server.close(sessionId)
        : this.#server.cancelQueued(sessionId));
      await this.#ask();
    } else {
      entry?.model.send(named({ do: command }));
    }
  }

  #pageCard(session: PageSession): SessionCard {
    const card = pageCard(session);
    const origin = this.#origins.get(session.entry);
    const path = origin?.path ?? null;
    const served = this.#served(card.id);
    if (card.where === "here") {
      return { ...card, path, served: served !== null };
    }
    const where = this.#whereIs(origin);
    const { entry } = where === "gone" ? { entry: null } : card;
    // The server may still see what the page has lost sight of.
    return { ...(served ?? card), path, where, entry };
  }

  #served(id: string): SessionCard | null {
    const { runtime = null, cards, at = 0 } = this.#answer ?? {};
    const card = cards?.get(id);
    return card && runtime && card.state !== "closed"
      ? serverCard(card, runtime, Date.now() - at)
      : null;
  }

  /** Where the kernel is of a panel that is heard no more. */
  #whereIs(origin: Origin | undefined): Where {
    if (origin === undefined) {
      return "silent";
    }
    const runs = [...this.#kernels.running()].some(({ id }) => id === origin.kernel);
    if (origin.gone || !runs) {
      return "gone";
    }
    return this.notebooks.withKernel(origin.kernel) ? "silent" : "elsewhere";
  }

  readonly #onVisible = (): void => {
    if (!document.hidden) {
      void this.#ask();
    }
  };

  #onChange(): void {
    const now = new Map<string, PageSession>();
    for (const session of this.#page.list()) {
      this.#locate(session.entry);
      const { session_id: id } = session.head;
      if (id !== null) {
        now.set(id, session);
        this.#lost.delete(id);
      }
    }
    for (const [id, session] of this.#last) {
      if (!now.has(id) && !hasEnded(session.head)) {
        const origin = this.#origins.get(session.entry);
        const served = this.#served(id) !== null;
        this.#lost.set(id, { session, origin, at: Date.now(), served });
      }
    }
    this.#last = now;
    this.#dropEnded();
    this.#emit();
  }

  #locate(entry: Entry): void {
    const kernel = this.#origins.has(entry) ? null : kernelOf(entry);
    if (!kernel) {
      return;
    }
    const path = this.notebooks.withKernel(kernel.id)?.context.path ?? null;
    const origin: Origin = { kernel: kernel.id, path, gone: false };
    this.#origins.set(entry, origin);
    const onStatus = (_kernel: unknown, status: Kernel.Status) => {
      origin.gone ||= ENDING.has(status);
      this.#emit();
    };
    kernel.statusChanged.connect(onStatus, this);
  }

  /** Forget lost sessions that must have ended. */
  #dropEnded(): void {
    for (const [id, { session, at, served }] of this.#lost) {
      const { head } = session;
      const now = session.now + Date.now() - at;
      const end =
        head.countdowns.find(({ kind }) => kind === "max")?.ends ?? Number.POSITIVE_INFINITY;
      const denied = served && this.#answer?.runtime && !this.#served(id);
      if (denied || now >= end) {
        this.#lost.delete(id);
      }
    }
  }

  #emit(): void {
    this.#changed.emit();
  }

  /** Ask the server now, and again later. */
  async #ask(): Promise<void> {
    clearTimeout(this.#timer);
    if (!this.#hasServer || document.hidden) {
      return;
    }
    try {
      const answer = await this.#server.sessions();
      this.#hasServer &&= answer !== null;
      const cards = new Map((answer?.sessions ?? []).map((card) => [card.session_id, card]));
      this.#answer = answer && { at: Date.now(), runtime: answer.runtime, cards };
    } catch {
      // JupyterLab itself says that its server is gone. The kernels' sessions stay.
      this.#answer = null;
    }
    this.#dropEnded();
    this.#emit();
    clearTimeout(this.#timer);
    if (this.#hasServer) {
      const wait = this.#watchers > 0 ? SEEN_MS : UNSEEN_MS;
      this.#timer = setTimeout(() => void this.#ask(), wait);
    }
  }
}

function groupOf({ where, entry }: SessionCard): string {
  if (where === "gone") {
    return "No kernel";
  }
  return entry === null ? "Elsewhere" : "Consoles";
}

export const ISessions = new Token<KnownSessions>(
  "qsession-widget:ISessions",
  "The quantum sessions that this page knows.",
);

export const knownSessions: JupyterFrontEndPlugin<KnownSessions> = {
  id: PLUGIN.sessions,
  description: "Follows the quantum sessions of the open notebooks and of the Jupyter server.",
  autoStart: true,
  provides: ISessions,
  optional: [INotebookTracker, ILabShell],
  activate: (app: JupyterFrontEnd, tracker: INotebookTracker | null, labShell: ILabShell | null) =>
    new KnownSessions(app.serviceManager, new Notebooks(app, tracker, labShell !== null)),
};
