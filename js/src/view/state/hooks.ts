import { useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { firstPulse, type Pulse, pulseOf } from "../../clock";
import { type Command, type Model, TRAITS } from "../../contract";
import { reader, type Snapshot } from "./model";
import { isAnswered, isUnheard, named, nameOf, type Sent, sent } from "./pending";
import { beatOf } from "./shape";

/** The model's state, and when it was last updated. The traits of one message cause one drawing. */
export function useSession(model: Model): {
  snapshot: Snapshot;
  pulse: Pulse;
  /** Records that the next beat is requested. */
  asks: () => void;
} {
  const [version, changed] = useReducer((n: number) => n + 1, 0);
  const [pulse, setPulse] = useState(() => firstPulse(beatOf(model.get("beat")), Date.now()));
  const asked = useRef(false);
  // Before the page is drawn, or updates in between would be missed.
  useLayoutEffect(() => {
    const onChange = () => changed(undefined);
    const onBeat = () => {
      const beat = beatOf(model.get("beat"));
      if (beat) {
        setPulse(pulseOf(beat, Date.now(), asked.current));
        asked.current = false;
      }
    };
    const onCommLost = () => setPulse((last) => ({ ...last, lost: true }));
    for (const name of TRAITS) {
      model.on(`change:${name}`, onChange);
    }
    model.on("change:beat", onBeat);
    model.on("comm_live_update", onCommLost);
    return () => {
      for (const name of TRAITS) {
        model.off(`change:${name}`, onChange);
      }
      model.off("change:beat", onBeat);
      model.off("comm_live_update", onCommLost);
    };
  }, [model]);
  const read = useMemo(() => reader(model), [model]);
  // The version stands for the traits.
  const snapshot = useMemo(read, [read, version]);
  const asks = () => {
    asked.current = true;
  };
  return { snapshot, pulse, asks };
}

/** The browser's time, updated at this interval while it is visible. */
export function useNow(interval: number): number {
  const [, tick] = useReducer((n: number) => n + 1, 0);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || tick(undefined), interval);
    return () => clearInterval(timer);
  }, [interval]);
  return Date.now();
}

const LOOK_MS = 20_000;

/** Tells the kernel that the panel is looked at: not every host does, and none for a side panel. */
export function useLooks(model: Model, stale: boolean): void {
  useEffect(() => {
    if (stale) {
      return;
    }
    const look = () => {
      if (!document.hidden) {
        model.send(named({ do: "look" }));
      }
    };
    look();
    const timer = setInterval(look, LOOK_MS);
    document.addEventListener("visibilitychange", look);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [model, stale]);
}

export interface Commands {
  send(command: Command): void;
  isPending(kind: Command["do"], jobId?: string): boolean;
  /** Names of the commands that wait until the kernel has run its cell. */
  unheard: readonly string[];
}

/** Sends commands and remembers unanswered ones, but none from before an interruption. */
export function useCommands(
  model: Model,
  snapshot: Snapshot,
  pulse: Pulse,
  stale: boolean,
  now: number,
): Commands {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const waiting = useRef<Sent[]>([]);
  waiting.current = stale ? [] : waiting.current.filter((each) => !isAnswered(each, snapshot));
  return {
    send(command) {
      const each = sent(command, snapshot, pulse.n, Date.now());
      waiting.current.push(each);
      model.send(each.message);
      redraw(undefined);
    },
    isPending(kind, jobId) {
      return waiting.current.some(
        ({ message }) =>
          message.do === kind && (message.do !== "cancel_job" || message.job_id === jobId),
      );
    },
    unheard: waiting.current
      .filter((each) => isUnheard(each, snapshot, pulse.n, now))
      .map(({ message }) => nameOf(message)),
  };
}
