import { useRef } from "preact/hooks";
import { RUNNING } from "../ui/words";

/** The shortest time between two changes of a text that people read. */
const CALM_MS = 1000;
/** Between two jobs of a loop a session is idle for a moment, which is not worth showing. */
const BETWEEN_JOBS_MS = 1500;

export interface Held<T> {
  value: T;
  key: string;
  /** Browser time in ms. */
  at: number;
}

/** The value to show: the last one, until it has been shown for long enough. */
export function held<T>(last: Held<T> | null, value: T, key: string, now: number): Held<T> {
  if (last !== null && last.key === key) {
    // The same words: a new object, for example with a handler of this drawing.
    return { ...last, value };
  }
  return last !== null && now - last.at < CALM_MS ? last : { value, key, at: now };
}

/** Shows a value for a second at least; `key` says whether it is another one. */
export function useCalm<T>(value: T, key: string, now: number): T {
  const last = useRef<Held<T> | null>(null);
  last.current = held(last.current, value, key, now);
  return last.current.value;
}

export interface Steady {
  word: string;
  /** Since when another word has been due, in browser ms; null if none is. */
  since: number | null;
}

export function steady(last: Steady | null, word: string, now: number): Steady {
  const pausing = last?.word === RUNNING && word.startsWith("Idle");
  const since = last?.since ?? now;
  return pausing && now - since < BETWEEN_JOBS_MS
    ? { word: last.word, since }
    : { word, since: null };
}

/** The session's word, which does not flicker between the jobs of a loop. */
export function useSteadyWord(word: string, now: number): string {
  const last = useRef<Steady | null>(null);
  last.current = steady(last.current, word, now);
  return last.current.word;
}

/** How long something stays after it was shown, so that nothing flickers with each job. */
const LINGER_MS = 10_000;

/** Whether something is there, or was a moment ago. */
export function useLinger(there: boolean, over: boolean, now: number): boolean {
  const seen = useRef<number | null>(null);
  if (there) {
    seen.current = now;
  }
  return there || (!over && seen.current !== null && now - seen.current < LINGER_MS);
}
