import { useRef } from "preact/hooks";
import type { JobList } from "../state/job-list";
import type { Filter, Sorting } from "./order";

/** How long after the last movement in the table a user may still be aiming at a row. */
const AIMING_MS = 3000;

interface Shown {
  ordered: readonly number[];
  filter: Filter;
  sorting: Sorting;
  count: number;
}

export interface Hold {
  /** The rows to show. */
  ordered: readonly number[];
  /** How many jobs have come since they are kept. */
  fresh: number;
  /** The pointer or a key was used on a row. */
  touch: () => void;
  release: () => void;
}

/**
 * Keeps the rows where they are while the user reads or aims at one: new jobs come in at the top,
 * and a click must not hit another row than the one it was meant for.
 */
export function useHold(
  jobs: JobList,
  live: readonly number[],
  filter: Filter,
  sorting: Sorting,
  reading: boolean,
): Hold {
  const shown = useRef<Shown | null>(null);
  const touched = useRef(0);
  const last = shown.current;
  const held = reading || Date.now() - touched.current < AIMING_MS;
  const same =
    last !== null && last.filter === filter && last.sorting === sorting && last.count <= jobs.count;
  if (!held || !same) {
    shown.current = { ordered: live, filter, sorting, count: jobs.count };
  }
  const ordered = shown.current?.ordered ?? live;
  return {
    ordered,
    fresh: Math.max(0, live.length - ordered.length),
    touch: () => {
      touched.current = Date.now();
    },
    release: () => {
      touched.current = 0;
    },
  };
}
