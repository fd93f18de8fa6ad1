import { Button } from "../ui/button";
import { absolute, isTime } from "../ui/format";
import { Icon } from "../ui/icons";

const STEPS = [
  ["10 s", 10],
  ["1 min", 60],
  ["10 min", 600],
  ["1 h", 3600],
] as const;

interface ClockProps {
  /** Seconds of the service's clock in one. */
  rate: number;
  serverNow: number;
  disabled: boolean;
  /** null if nothing can move it. */
  onAdvance: ((seconds: number) => void) | null;
}

/** Shown for a service whose clock does not run in real time. */
export function ClockBanner({ rate, serverNow, disabled, onAdvance }: ClockProps) {
  if (rate === 1) {
    return null;
  }
  const goes = rate === 0 ? "stands still until it is moved" : `goes ${rate} times as fast`;
  return (
    <div class="qsw-clock" data-testid="qsw-clock">
      <Icon name="queued" />
      <p>
        Not the real time: this runtime's clock {goes}.{" "}
        {isTime(serverNow) && <time>{absolute(serverNow)}</time>}
      </p>
      {rate === 0 && onAdvance && (
        <fieldset class="qsw-actions" aria-label="Advance the clock">
          {STEPS.map(([name, seconds]) => (
            <Button
              key={name}
              class="qsw-button qsw-small"
              data-testid="qsw-advance"
              aria-label={`Advance the clock by ${name}`}
              disabled={disabled}
              onClick={() => onAdvance(seconds)}
            >
              +{name}
            </Button>
          ))}
        </fieldset>
      )}
    </div>
  );
}
