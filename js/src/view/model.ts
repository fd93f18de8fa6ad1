import type { Beat, Head, Link, Model, Notice } from "../contract";
import { type Columns, type Tally, tallyOf } from "./jobs";

/** All traits at one moment, with what is counted from them. */
export interface Snapshot {
  head: Head;
  columns: Columns;
  tally: Tally;
  beat: Beat | undefined;
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
const NO_JOBS = { ids: [], programs: [], created: [] };
const NO_LINK: Link = { state: "connecting", error: null, since: 0 };
const NO_NOTICE: Notice = { n: 0, level: "info", text: "" };

export function read(model: Model): Snapshot {
  const columns: Columns = {
    jobs: { ...NO_JOBS, ...model.get("jobs") },
    states: model.get("states"),
    times: model.get("times"),
    reasons: model.get("reasons") ?? {},
  };
  return {
    head: { ...NO_HEAD, ...model.get("head") },
    columns,
    tally: tallyOf(columns),
    beat: model.get("beat"),
    link: { ...NO_LINK, ...model.get("link") },
    notice: { ...NO_NOTICE, ...model.get("notice") },
  };
}
