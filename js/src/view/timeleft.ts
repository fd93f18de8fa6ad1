import { CLOSED, type Head } from "../contract";
import { epoch } from "./format";

export interface TimeLeft {
  /** ms */
  left: number;
  max: number;
  /** Less than a tenth is left. */
  short: boolean;
}

export function timeLeft({ details, status }: Head, serverNow: number): TimeLeft | null {
  const started = epoch(details.started_at);
  const seconds = details.max_time;
  if (status === CLOSED || started === null || typeof seconds !== "number") {
    return null;
  }
  const max = seconds * 1000;
  const left = Math.min(max, Math.max(0, started + max - serverNow));
  return { left, max, short: left < max / 10 };
}
