import type { Countdown } from "../../contract";

/** How near a deadline is: less than a quarter left, less than a tenth. */
export type Nearness = "far" | "near" | "close";

export interface Left {
  /** ms */
  left: number;
  /** 0 to 1 */
  share: number;
  nearness: Nearness;
}

export function leftOf({ ends, total }: Countdown, serverNow: number): Left {
  const left = Math.min(total, Math.max(0, ends - serverNow));
  const share = total > 0 ? left / total : 0;
  return { left, share, nearness: share < 0.1 ? "close" : share < 0.25 ? "near" : "far" };
}
