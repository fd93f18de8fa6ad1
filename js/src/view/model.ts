import type { Head, Link, Model, Notice, Page } from "../contract";
import { JobList } from "./jobs";

/** All traits at one moment. */
export interface Snapshot {
  head: Head;
  jobs: JobList;
  link: Link;
  notice: Notice;
}

const NO_HEAD: Head = {
  key: "",
  session_id: null,
  backend_name: null,
  simulator: false,
  mode: null,
  status: null,
  state: null,
  accepting_jobs: null,
  details: {},
  details_at: 0,
  countdowns: [],
  why: null,
};
const NO_LINK: Link = { state: "connecting", error: null, since: 0, retry: null };
const NO_NOTICE: Notice = { n: 0, level: "info", text: "" };

/** Reads a model; the list of jobs is the same object as long as no job is another one. */
export function reader(model: Model): () => Snapshot {
  let parts: readonly unknown[] = [];
  let jobs = new JobList(0, 1, [], undefined, []);
  return () => {
    const { count, page: size } = { count: 0, page: 1, ...model.get("jobs") };
    const pages: (Page | undefined)[] = [];
    for (let at = 0; at * Math.max(1, size) < count && at < 20_000; at++) {
      pages.push(model.get(`page${at}`));
    }
    const states = model.get("states");
    const reasons = model.get("reasons") ?? [];
    const found = [count, size, states, reasons, ...pages];
    if (found.length !== parts.length || found.some((part, at) => part !== parts[at])) {
      parts = found;
      jobs = new JobList(count, size, pages, states, reasons);
    }
    return {
      head: { ...NO_HEAD, ...model.get("head") },
      jobs,
      link: { ...NO_LINK, ...model.get("link") },
      notice: { ...NO_NOTICE, ...model.get("notice") },
    };
  };
}
