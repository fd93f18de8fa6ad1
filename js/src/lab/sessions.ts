import { firstPulse, isStale, type Pulse, pulseOf } from "../clock";
import { CLOSED, JOB_STATES, type Model } from "../contract";
import { type Entry, type Registry, registry } from "../registry";
import { CODE, isFinal, readStates, UNKNOWN } from "../view/state/job-list";
import { stateWord } from "../view/ui/words";

const CHECK_MS = 1000;
const WATCHED = ["change:head", "change:link"] as const;

interface Watched {
  pulse: Pulse;
  stop: () => void;
}

export interface LiveSession {
  key: string;
  name: string;
  /** Its state. */
  word: string;
}

function isLive(model: Model, pulse: Pulse): boolean {
  const link = model.get("link")?.state;
  const connected = link === "live" || link === "retrying";
  return connected && model.get("head")?.status !== CLOSED && !isStale(pulse, link, Date.now());
}

/** Whether a job is queued or runs. */
function isBusy(model: Model): boolean {
  const states = readStates(model.get("states"), model.get("jobs")?.count ?? 0);
  return states.some(
    (state) => state !== UNKNOWN && !isFinal(JOB_STATES[state & CODE] ?? "unknown"),
  );
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
          name: head.name ?? head.backend_name ?? "no backend yet",
          word: head.simulator ? "Simulator" : stateWord(head, isBusy(model)),
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
