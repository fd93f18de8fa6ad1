import { useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { echoOf, firstPulse, type Pulse, pulseOf } from "../../clock";
import { type Active, type Command, type Model, TRAITS } from "../../contract";
import { reportSent } from "../../registry";
import { reader, type Snapshot } from "./model";
import { isAnswered, isUnheard, jobOf, named, nameOf, type Sent, sent } from "./pending";
import { beatOf, commandsOf, isAnswer } from "./shape";

/** Beats that come so soon after an answer, or after the first messages of a view, belong to it. */
const ECHO_MS = 2000;
/** How long an answer is waited for. */
const ANSWER_MS = 30_000;

/** The model's state, and when it was last updated. The traits of one message cause one drawing. */
export function useSession(model: Model): {
  snapshot: Snapshot;
  pulse: Pulse;
  /** Whether a kernel has spoken to this view; none does in an exported page. */
  answered: boolean;
  /** Records that beats are requested, by a command with this name. */
  asks: (ref: string) => void;
} {
  const [version, changed] = useReducer((n: number) => n + 1, 0);
  const [pulse, setPulse] = useState(() => firstPulse(beatOf(model.get("beat")), Date.now()));
  const [answered, setAnswered] = useState(false);
  const asked = useRef({ ref: "", until: 0 });
  const proves = useRef(Date.now() + ECHO_MS);
  const asks = (ref: string, lasts = ANSWER_MS) => {
    asked.current = { ref, until: Date.now() + lasts };
  };
  // Before the page is drawn, or updates in between would be missed.
  useLayoutEffect(() => {
    const onChange = () => changed(undefined);
    const onBeat = () => {
      const beat = beatOf(model.get("beat"));
      if (beat) {
        const now = Date.now();
        setAnswered(true);
        const requested = now < asked.current.until;
        setPulse(
          requested || now >= proves.current ? pulseOf(beat, now, requested) : echoOf(beat, now),
        );
      }
    };
    const onCommands = () => {
      if (commandsOf(model.get("commands")).heard.includes(asked.current.ref)) {
        asks("", ECHO_MS);
      }
    };
    const onMessage = (message: unknown) => isAnswer(message) && setAnswered(true);
    const onCommLost = () => setPulse((last) => ({ ...last, lost: true }));
    for (const name of TRAITS) {
      model.on(`change:${name}`, onChange);
    }
    model.on("change:beat", onBeat);
    model.on("change:commands", onCommands);
    model.on("comm_live_update", onCommLost);
    model.on("msg:custom", onMessage);
    model.send(named({ do: "here" }));
    return () => {
      for (const name of TRAITS) {
        model.off(`change:${name}`, onChange);
      }
      model.off("change:beat", onBeat);
      model.off("change:commands", onCommands);
      model.off("comm_live_update", onCommLost);
      model.off("msg:custom", onMessage);
    };
  }, [model]);
  const read = useMemo(() => reader(model), [model]);
  // The version stands for the traits.
  const snapshot = useMemo(read, [read, version]);
  return { snapshot, pulse, answered, asks };
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

/**
 * Tells the kernel that the panel is looked at: not every host does, and none for a side panel.
 * Not in hosts that push nothing: there the answer would be mistaken for an update.
 */
export function useLooks(model: Model, rests: boolean): void {
  useEffect(() => {
    if (rests) {
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
  }, [model, rests]);
}

export interface Commands {
  send(command: Command): void;
  /** Asks for the present state; where the host pushes nothing, for all of it. */
  refresh(): void;
  /** Whether a command has no answer yet; every browser may have sent it. */
  isPending(kind: Command["do"], jobId?: string): boolean;
  /** Names of the commands that wait until the kernel has run its cell. */
  unheard: readonly string[];
}

/**
 * Sends commands and remembers unanswered ones, but none from before an interruption. In a host
 * that pushes nothing each is followed by a request for everything, or its outcome would not be seen.
 */
export function useCommands(
  model: Model,
  snapshot: Snapshot,
  pulse: Pulse,
  asks: (ref: string) => void,
  stale: boolean,
  now: number,
): Commands {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const waiting = useRef<Sent[]>([]);
  waiting.current = stale ? [] : waiting.current.filter((each) => !isAnswered(each, snapshot));
  const push = (command: Command) => {
    const each = sent(command, snapshot, pulse.n, Date.now());
    waiting.current.push(each);
    model.send(each.message);
    reportSent(model, each.message);
    return each.message.ref;
  };
  const refresh = () => {
    const all = stale || pulse.asked;
    const ref = push({ do: "refresh", all });
    if (all) {
      asks(ref);
    }
  };
  return {
    send(command) {
      push(command);
      if (pulse.asked) {
        refresh();
      }
      redraw(undefined);
    },
    refresh() {
      refresh();
      redraw(undefined);
    },
    isPending(kind, jobId) {
      const own = waiting.current.map(({ message }): Active => [message.do, jobOf(message)]);
      const all = stale ? [] : [...own, ...(snapshot.commands.active ?? [])];
      return all.some(([other, id]) => other === kind && id === (jobId ?? null));
    },
    unheard: waiting.current
      .filter((each) => isUnheard(each, snapshot, pulse.n, now))
      .map(({ message }) => nameOf(message)),
  };
}
