import { absolute, isTime, moment, NONE } from "./format";

interface WhenProps {
  /** Epoch ms; an invalid time is shown as a dash. */
  ms: number | null;
  serverNow: number;
}

/** The time of day; the tooltip has the full date. */
export function When({ ms, serverNow }: WhenProps) {
  if (ms === null || !isTime(ms)) {
    return <>{NONE}</>;
  }
  return (
    <time dateTime={new Date(ms).toISOString()} title={absolute(ms)}>
      {moment(ms, serverNow)}
    </time>
  );
}
