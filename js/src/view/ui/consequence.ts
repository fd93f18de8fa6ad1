import type { Counts } from "../state/job-list";
import { count } from "./format";

export type SessionCommand = "close" | "cancel" | "cancel_queued";

/** What the command will do, and to how many jobs. */
export function consequence(
  command: SessionCommand,
  { queued, running }: Pick<Counts, "queued" | "running">,
): string {
  if (command === "close") {
    const verb = queued + running === 1 ? "finishes" : "finish";
    return `Takes no new jobs; ${queued} queued and ${count(running, "running job")} ${verb}.`;
  }
  const cancelled = `${count(queued, "queued job")} ${queued === 1 ? "is" : "are"} cancelled`;
  if (command === "cancel_queued") {
    const goOn = `${count(running, "running job")} ${running === 1 ? "goes" : "go"} on`;
    return `${cancelled}, ${goOn}, and new jobs are still taken.`;
  }
  const finish = `${count(running, "running job")} ${running === 1 ? "finishes" : "finish"}`;
  return `${cancelled}, ${finish}, no new jobs.`;
}
