import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin,
} from "@jupyterlab/application";
import { ICommandPalette } from "@jupyterlab/apputils";
import { addIcon, type LabIcon, stopIcon } from "@jupyterlab/ui-components";
import type { CommandRegistry } from "@lumino/commands";
import type { Message } from "@lumino/messaging";
import { h, VirtualDOM, type VirtualElement } from "@lumino/virtualdom";
import { Widget } from "@lumino/widgets";
import { hasOtherContract } from "../registry";
import { clock, span, thousands } from "../view/ui/format";
import { jobWord } from "../view/ui/words";
import type { SessionCard } from "./cards";
import { sessionIcon } from "./icon";
import { CATEGORY, COMMAND, PLUGIN, SIDE_PANEL } from "./ids";
import { type Group, ISessions, type KnownSessions } from "./known";
import type { ServerJob, ServerSession } from "./server";

const NAME = "Quantum sessions";
const SIDES = "#jp-left-stack, #jp-right-stack";

const OTHER_CONTRACT =
  "A kernel of this page has a release of qsession-widget whose panels cannot be listed here. " +
  "Install the same release in the environments of the kernel and of the Jupyter server.";

/** Of a session's jobs, how many are listed in its card. */
const MOST_JOBS = 20;

type Known = Pick<
  KnownSessions,
  "changed" | "groups" | "watch" | "details" | "cancelJob" | "notebooks"
>;

/** What is known of a session's jobs: null while they are fetched, or why that failed. */
type Details = { figures: string; found: ServerSession | string | null };

/** The sessions as cards, grouped by notebook. */
export class SessionsPanel extends Widget {
  readonly #sessions: Known;
  readonly #commands: CommandRegistry;
  readonly #details = new Map<string, Details>();
  #unwatch: (() => void) | null = null;

  constructor(sessions: Known, commands: CommandRegistry) {
    super();
    this.#sessions = sessions;
    this.#commands = commands;
    this.id = SIDE_PANEL;
    this.title.caption = NAME;
    this.title.icon = sessionIcon;
    this.addClass("qsw-side");
    this.node.setAttribute("role", "region");
    this.node.setAttribute("aria-label", NAME);
    this.node.tabIndex = -1;
    this.node.addEventListener("keydown", this.#onKey);
    sessions.changed.connect(this.#draw, this);
  }

  override dispose(): void {
    this.#sessions.changed.disconnect(this.#draw, this);
    this.#rest();
    super.dispose();
  }

  protected override onActivateRequest(): void {
    const first = this.node.querySelector<HTMLElement>(".qsw-card button, .qsw-side-empty button");
    (first ?? this.node).focus();
  }

  protected override onAfterAttach(): void {
    // Side bars show icons alone; moved elsewhere, its tab stands between tabs with names.
    this.title.label = this.node.closest(SIDES) ? "" : NAME;
    this.#wake();
  }

  protected override onAfterShow(): void {
    this.#wake();
  }

  protected override onAfterHide(): void {
    this.#rest();
  }

  protected override onBeforeDetach(_message: Message): void {
    this.#rest();
  }

  #wake(): void {
    if (this.isVisible) {
      this.#unwatch ??= this.#sessions.watch();
      this.#draw();
    }
  }

  /** A hidden panel is not drawn, and asks for nothing. */
  #rest(): void {
    this.#unwatch?.();
    this.#unwatch = null;
  }

  readonly #onKey = (event: KeyboardEvent): void => {
    if (event.key === "Escape") {
      event.stopPropagation();
      this.#sessions.notebooks.focus();
    }
  };

  #draw(): void {
    if (this.#unwatch === null) {
      return;
    }
    const groups = this.#sessions.groups();
    const body = groups.length === 0 ? [this.#empty()] : groups.map((group) => this.#group(group));
    const note = hasOtherContract()
      ? [h.p({ className: "qsw-side-note", dataset: { testid: "qsw-side-note" } }, OTHER_CONTRACT)]
      : [];
    VirtualDOM.render([this.#header(groups), ...body, ...note], this.node);
  }

  #header(groups: readonly Group[]): VirtualElement {
    return h.div(
      { className: "qsw-side-header", key: "header" },
      h.h2(NAME),
      this.#iconButton(addIcon, COMMAND.newSession, "New session: insert a cell that opens one"),
      ...(groups.length === 0
        ? []
        : [this.#iconButton(stopIcon, COMMAND.closeAll, "Close all sessions")]),
    );
  }

  #iconButton(icon: LabIcon, command: string, name: string): VirtualElement {
    return h.button(
      {
        key: command,
        type: "button",
        className: "qsw-icon-button",
        title: name,
        "aria-label": name,
        dataset: { testid: `qsw-side-${command.split(":")[1]}` },
        ...(this.#commands.isEnabled(command) ? {} : { disabled: "true" }),
        onclick: () => void this.#commands.execute(command),
      },
      h.span({ className: "qsw-icon-box" }, icon),
    );
  }

  #button(name: string, testid: string, onclick: () => unknown, title = name): VirtualElement {
    return h.button(
      {
        key: testid,
        type: "button",
        className: "qsw-lab-button",
        title,
        dataset: { testid },
        onclick: () => void onclick(),
      },
      name,
    );
  }

  #empty(): VirtualElement {
    return h.div(
      { className: "qsw-side-empty", key: "empty" },
      h.span({ className: "qsw-side-picture", "aria-hidden": "true" }, sessionIcon),
      h.h3("No session is open"),
      h.p(
        "A session reserves a quantum device while your notebook sends it one job after the other. " +
          "While it is open, it is listed here with its jobs and the time that is left.",
      ),
      h.p("No account is needed: the local runtime runs on this machine."),
      this.#button("Start a session", "qsw-start", () =>
        this.#commands.execute(COMMAND.newSession),
      ),
      this.#button("Open the quickstart", "qsw-quickstart", () =>
        this.#commands.execute(COMMAND.openQuickstart),
      ),
    );
  }

  #group({ path, name, cards }: Group): VirtualElement {
    return h.section(
      { className: "qsw-group", key: `group ${path ?? ""} ${name}`, "aria-label": name },
      h.h3({ title: path ?? "" }, name),
      h.ul(...cards.map((card) => this.#card(card))),
    );
  }

  #card(card: SessionCard): VirtualElement {
    const { id, backend, word, tone, countdown, where } = card;
    const isGone = where === "gone";
    return h.li(
      {
        key: id,
        className: `qsw-card${isGone ? " qsw-mod-gone" : ""}`,
        dataset: { testid: "qsw-card", session: id, where },
      },
      h.div(
        { className: "qsw-card-head" },
        this.#title(card),
        ...(backend === null ? [] : [h.span({ className: "qsw-card-backend" }, backend)]),
      ),
      h.div(
        { className: "qsw-card-state" },
        h.span({ className: "qsw-card-pill", dataset: { tone, testid: "qsw-card-status" } }, word),
        ...(isGone && path(card) !== null
          ? [h.span({ className: "qsw-card-mark" }, "No kernel")]
          : []),
        ...(countdown
          ? [
              h.span(
                {
                  className: "qsw-card-left",
                  title: countdown.label,
                  dataset: { nearness: countdown.nearness, testid: "qsw-card-left" },
                },
                h.span({ className: "qsw-visually-hidden" }, `${countdown.label} `),
                clock(countdown.left, countdown.total),
              ),
            ]
          : []),
      ),
      bar(card),
      h.p(
        { className: "qsw-card-figures", dataset: { testid: "qsw-card-figures" } },
        figures(card),
      ),
      h.div({ className: "qsw-card-actions" }, ...this.#actions(card)),
      ...this.#jobs(card),
    );
  }

  /** Opens the full panel, or the jobs where no kernel of the page has one. */
  #title(card: SessionCard): VirtualElement {
    const { id, title, path, entry } = card;
    const open = () =>
      entry ? this.#commands.execute(COMMAND.openSession, { id, title, path }) : this.#toggle(card);
    return h.button(
      {
        type: "button",
        className: "qsw-card-title",
        title: entry ? `Open the panel of ${title}` : `Details of ${title}`,
        dataset: { testid: "qsw-card-open" },
        ...(entry || card.served ? {} : { disabled: "true" }),
        onclick: () => void open(),
      },
      title,
    );
  }

  #actions(card: SessionCard): VirtualElement[] {
    const { id, title, entry, where, served, queued, accepting, path } = card;
    const run = (command: string) => () => this.#commands.execute(command, { id });
    const found: VirtualElement[] = [];
    if (entry && this.#commands.isEnabled(COMMAND.goToCell, { id })) {
      found.push(
        this.#button(
          "Go to cell",
          "qsw-card-cell",
          run(COMMAND.goToCell),
          `Go to the cell that opened ${title}`,
        ),
      );
    }
    if (!entry) {
      const isClosed = where === "elsewhere" && path !== null && !this.#sessions.notebooks.at(path);
      const name = where === "gone" ? "Resume in a notebook" : "Adopt";
      found.push(
        isClosed
          ? this.#button("Open notebook", "qsw-card-notebook", () =>
              this.#commands.execute("docmanager:open", { path }),
            )
          : this.#button(
              name,
              "qsw-card-adopt",
              run(COMMAND.adopt),
              `Insert a cell that holds ${title}`,
            ),
      );
      if (served) {
        found.push(
          this.#button(this.#details.has(id) ? "Hide details" : "Details", "qsw-card-details", () =>
            this.#toggle(card),
          ),
        );
      }
    }
    if (queued > 0 && this.#commands.isEnabled(COMMAND.cancelQueued, { id })) {
      found.push(
        this.#button(
          "Cancel queued",
          "qsw-card-cancel-queued",
          run(COMMAND.cancelQueued),
          `Cancel the queued jobs of ${title}`,
        ),
      );
    }
    if (accepting && this.#commands.isEnabled(COMMAND.closeSession, { id })) {
      found.push(
        this.#button("Close", "qsw-card-close", run(COMMAND.closeSession), `Close ${title}`),
      );
    }
    return found;
  }

  #toggle(card: SessionCard): void {
    if (!this.#details.delete(card.id)) {
      void this.#fetch(card);
    }
    this.#draw();
  }

  async #fetch(card: SessionCard): Promise<void> {
    const known = this.#details.get(card.id);
    const details: Details = { figures: figures(card), found: known?.found ?? null };
    this.#details.set(card.id, details);
    try {
      details.found = await this.#sessions.details(card.id);
    } catch (error) {
      details.found = error instanceof Error ? error.message : String(error);
    }
    this.#draw();
  }

  #jobs(card: SessionCard): VirtualElement[] {
    const details = this.#details.get(card.id);
    if (!details || card.entry) {
      return [];
    }
    const { found } = details;
    if (found !== null && details.figures !== figures(card)) {
      void this.#fetch(card);
    }
    if (found === null || typeof found === "string") {
      return [h.p({ className: "qsw-card-note" }, found ?? "Fetching its jobs …")];
    }
    const jobs = [...found.jobs].sort((one, other) => other.created - one.created);
    const more = jobs.length - MOST_JOBS;
    return [
      h.dl(
        { className: "qsw-card-details", dataset: { testid: "qsw-card-facts" } },
        ...facts(card, found).flatMap(([name, value]) => [h.dt(name), h.dd(value)]),
      ),
      ...(jobs.length === 0
        ? [h.p({ className: "qsw-card-note" }, "No job yet.")]
        : [
            h.ul(
              { className: "qsw-card-jobs" },
              ...jobs.slice(0, MOST_JOBS).map((job) => this.#job(card, job)),
            ),
          ]),
      ...(more > 0
        ? [h.p({ className: "qsw-card-note" }, `and ${thousands(more)} earlier jobs`)]
        : []),
    ];
  }

  #job(card: SessionCard, { id, program, state, result }: ServerJob): VirtualElement {
    const isPending = state === "queued" || state === "running";
    const word = state === "completed" ? jobWord("completed") : state;
    return h.li(
      { key: id, dataset: { "job-id": id, status: state } },
      h.code({ title: id }, id),
      h.span(`${program}, ${word}${result ? `: ${result}` : ""}`),
      ...(isPending
        ? [
            this.#button(
              "Cancel",
              "qsw-card-cancel-job",
              async () => {
                await this.#sessions.cancelJob(id).catch((error: unknown) => {
                  const details = this.#details.get(card.id);
                  if (details) {
                    details.found = error instanceof Error ? error.message : String(error);
                  }
                });
                await this.#fetch(card);
              },
              `Cancel job ${id}`,
            ),
          ]
        : []),
    );
  }
}

function path({ place, path: own }: SessionCard): string | null {
  return own ?? place;
}

/** How far its jobs are, of those that were sent or are expected. */
function bar({ queued, running, finished, spoilt, expected }: SessionCard): VirtualElement {
  const total = Math.max(1, queued + running + finished, expected ?? 0);
  const part = (name: string, n: number) =>
    h.span({ className: `qsw-bar-${name}`, style: { width: `${(100 * n) / total}%` } });
  return h.div(
    { className: "qsw-card-bar", "aria-hidden": "true" },
    part("finished", finished - spoilt),
    part("spoilt", spoilt),
    part("running", running),
    part("queued", queued),
  );
}

/** "3 pending · 188 of 400 finished · used 1 min 20 s" */
function figures({
  queued,
  running,
  finished,
  expected,
  usage,
  place,
  path: own,
}: SessionCard): string {
  const ended =
    expected === null
      ? `${thousands(finished)} finished`
      : `${thousands(finished)} of ${thousands(expected)} finished`;
  return [
    ...(queued + running > 0 ? [`${thousands(queued + running)} pending`] : []),
    ended,
    ...(usage === null ? [] : [`used ${span(usage)}`]),
    ...(own === null && place !== null ? [place] : []),
  ].join(" · ");
}

function facts(card: SessionCard, found: ServerSession): [string, string][] {
  return [
    ["Id", card.id],
    ["Backend", found.backend_name ?? "none yet"],
    ["Mode", found.mode ?? "unknown"],
    ["Status", found.status ?? "unknown"],
    ["Opened by", found.place ?? "unknown"],
  ];
}

export const sidePanel: JupyterFrontEndPlugin<void> = {
  id: PLUGIN.sidePanel,
  description: "Lists quantum sessions as cards in a side panel.",
  autoStart: true,
  requires: [ISessions],
  optional: [ILayoutRestorer, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    sessions: KnownSessions,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
  ) => {
    const panel = new SessionsPanel(sessions, app.commands);
    app.shell.add(panel, "right", { rank: 700 });
    restorer?.add(panel, SIDE_PANEL);
    app.commands.addCommand(COMMAND.showSessions, {
      label: "Show Quantum Sessions",
      caption: "Show the quantum sessions in the side panel",
      icon: sessionIcon,
      execute: () => app.shell.activateById(SIDE_PANEL),
    });
    palette?.addItem({ command: COMMAND.showSessions, category: CATEGORY });
  },
};
