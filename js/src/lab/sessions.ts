import { firstPulse, isStale, type Pulse, pulseOf } from "../clock";
import { CLOSED, type Model } from "../contract";
import { type Entry, type Registry, registry } from "../registry";

const CHECK_MS = 1000;
const WATCHED = ["change:head", "change:link"] as const;

interface Watched {
  pulse: Pulse;
  stop: () => void;
}

export interface LiveSession {
  key: string;
  backend: string;
  status: string;
}

function isLive(model: Model, pulse: Pulse): boolean {
  const link = model.get("link")?.state;
  const connected = link === "live" || link === "retrying";
  return connected && model.get("head")?.status !== CLOSED && !isStale(pulse, link, Date.now());
}

/** Watches every panel of the page; several panels may show one session. */
export class LiveSessions {
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

  list(): LiveSession[] {
    const found = new Map<string, LiveSession>();
    for (const [{ model }, { pulse }] of this.#watched) {
      const head = model.get("head");
      if (head && isLive(model, pulse)) {
        found.set(head.key, {
          key: head.key,
          backend: head.backend_name ?? "no backend yet",
          status: head.status ?? (head.simulator ? "simulator" : "status not known yet"),
        });
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
