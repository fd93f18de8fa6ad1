import { absolute, isTime, moment, NONE } from "./format";

interface WhenProps {
  /** Epoch ms; what is no time is a dash. */
  ms: number | null;
  serverNow: number;
}

/** The time of day, with all of it for who points at it. */
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
