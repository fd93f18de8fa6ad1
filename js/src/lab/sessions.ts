import { firstPulse, isStale, type Pulse, pulseOf, serverTime } from "../clock";
import { CLOSED, type Head, type Model } from "../contract";
import { type Entry, type Registry, registry } from "../registry";
import type { JobList } from "../view/state/job-list";
import { reader, type Snapshot } from "../view/state/model";

const CHECK_MS = 1000;
const WATCHED = ["change:head", "change:link", "change:states"] as const;

interface Watched {
  pulse: Pulse;
  read: () => Snapshot;
  stop: () => void;
}

/** A session of a kernel, as its panel's model describes it. */
export interface PageSession {
  entry: Entry;
  head: Head;
  jobs: JobList;
  /** Its kernel is heard, and the session has not ended. */
  live: boolean;
  /** Epoch ms on the service's clock. */
  now: number;
}

/** The name by which people know a session. */
export function titleOf({ name, backend_name }: Pick<Head, "name" | "backend_name">): string {
  return name ?? backend_name ?? "no backend yet";
}

export interface Pending {
  queued: number;
  running: number;
  /** Failed or cancelled. */
  spoilt: number;
}

/** A list is replaced when a job changes, so each is counted once. */
const counted = new WeakMap<JobList, Pending>();

/** Cheaper than the list's tally, which decodes every job. */
export function pendingOf(jobs: JobList): Pending {
  const known = counted.get(jobs);
  if (known) {
    return known;
  }
  const pending = { queued: 0, running: 0, spoilt: 0 };
  for (let index = 0; index < jobs.count; index++) {
    const status = jobs.statusAt(index);
    if (status === "queued" || status === "running") {
      pending[status] += 1;
    }
    pending.spoilt += status === "failed" || status === "cancelled" ? 1 : 0;
  }
  counted.set(jobs, pending);
  return pending;
}

function rank({ live, head }: Pick<PageSession, "live" | "head">): number {
  return 2 * Number(live) + Number(typeof head.cell_id === "string");
}

/** Watches every panel of the page; several panels may show one session. */
export class PageSessions {
  readonly #watched = new Map<Entry, Watched>();
  readonly #registry: Registry = registry();
  readonly #changed: () => void;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(changed: () => void) {
    this.#changed = changed;
    this.#registry.changes.addEventListener("change", this.#sync);
    // There is no event for missing updates.
    this.#timer = setInterval(changed, CHECK_MS);
    this.#match();
  }

  /**
   * Every session once: through a panel whose kernel is heard, and of those through one of the
   * kernel that opened it.
   */
  list(): PageSession[] {
    const found = new Map<string, PageSession>();
    const now = Date.now();
    for (const [entry, { pulse, read }] of this.#watched) {
      if (entry.model.get("head")) {
        const { head, jobs, link } = read();
        const connected = link.state === "live" || link.state === "retrying";
        const live = connected && head.status !== CLOSED && !isStale(pulse, link.state, now);
        const id = head.session_id ?? head.key;
        const known = found.get(id);
        if (!known || rank({ live, head }) > rank(known)) {
          found.set(id, { entry, head, jobs, live, now: serverTime(pulse, now) });
        }
      }
    }
    return [...found.values()];
  }

  dispose(): void {
    clearInterval(this.#timer);
    this.#registry.changes.removeEventListener("change", this.#sync);
    for (const { stop } of this.#watched.values()) {
      stop();
    }
    this.#watched.clear();
  }

  readonly #sync = (): void => {
    this.#match();
    this.#changed();
  };

  #match(): void {
    for (const entry of this.#registry.entries) {
      if (!this.#watched.has(entry)) {
        this.#watched.set(entry, this.#watch(entry.model));
      }
    }
    for (const [entry, { stop }] of this.#watched) {
      if (!this.#registry.entries.has(entry)) {
        stop();
        this.#watched.delete(entry);
      }
    }
  }

  #watch(model: Model): Watched {
    const onBeat = () => {
      const beat = model.get("beat");
      if (beat) {
        watched.pulse = pulseOf(beat, Date.now());
      }
    };
    const watched: Watched = {
      pulse: firstPulse(model.get("beat"), Date.now()),
      read: reader(model),
      stop: () => {
        model.off("change:beat", onBeat);
        for (const event of WATCHED) {
          model.off(event, this.#changed);
        }
      },
    };
    model.on("change:beat", onBeat);
    for (const event of WATCHED) {
      model.on(event, this.#changed);
    }
    return watched;
  }
}
