import type { Commands, Head, Link, Model, Notice } from "../../contract";
import { JobList } from "./job-list";
import { commandsOf, estimatesOf, headOf, linkOf, noticeOf, numberOr, reasonsOf } from "./shape";

/** All traits at one moment. */
export interface Snapshot {
  head: Head;
  jobs: JobList;
  link: Link;
  notice: Notice;
  commands: Commands;
}

/** More than any session has: limits what a wrong number can cost. */
const MOST_JOBS = 1_000_000;
const MOST_PAGES = 20_000;

/** Reads a model; the list of jobs is the same object until a job changes. */
export function reader(model: Model): () => Snapshot {
  let parts: readonly unknown[] = [];
  let jobs = new JobList(0, 1, [], undefined, [], estimatesOf(undefined));
  return () => {
    const found = model.get("jobs");
    const count = Math.min(MOST_JOBS, Math.max(0, Math.floor(numberOr(found?.count, 0))));
    const size = Math.max(1, Math.floor(numberOr(found?.page, 1)));
    const pages: unknown[] = [];
    for (let at = 0; at * size < count && at < MOST_PAGES; at++) {
      pages.push(model.get(`page${at}`));
    }
    const states = model.get("states");
    const reasons = model.get("reasons");
    const estimates = model.get("estimates");
    const now = [count, size, states, reasons, estimates, ...pages];
    if (now.length !== parts.length || now.some((part, at) => part !== parts[at])) {
      parts = now;
      jobs = new JobList(count, size, pages, states, reasonsOf(reasons), estimatesOf(estimates));
    }
    return {
      head: headOf(model.get("head")),
      jobs,
      link: linkOf(model.get("link")),
      notice: noticeOf(model.get("notice")),
      commands: commandsOf(model.get("commands")),
    };
  };
}
