import type { Countdown } from "../../contract";
import { absolute, isTime, span } from "../ui/format";

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

interface CountdownsProps {
  countdowns: readonly Countdown[];
  serverNow: number;
}

/** Each as text and as a bar. */
export function Countdowns({ countdowns, serverNow }: CountdownsProps) {
  if (countdowns.length === 0) {
    return null;
  }
  return (
    <dl class="qsw-countdowns">
      {countdowns.map((countdown) => {
        const { left, share, nearness } = leftOf(countdown, serverNow);
        return (
          <div
            key={countdown.kind}
            data-testid={`qsw-countdown-${countdown.kind}`}
            data-nearness={nearness}
            title={isTime(countdown.ends) ? `Until ${absolute(countdown.ends)}` : undefined}
          >
            <dt>{countdown.label}</dt>
            <dd data-testid={countdown.kind === "max" ? "qsw-time-left" : undefined}>
              {span(left)} of {span(countdown.total)}
            </dd>
            <span class="qsw-bar" aria-hidden="true">
              <span style={{ width: `${share * 100}%` }} />
            </span>
          </div>
        );
      })}
    </dl>
  );
}
