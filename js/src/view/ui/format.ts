/** Numbers and times as people read them. All durations are in ms. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const NONE = "–";

function pair(ms: number, big: number, bigUnit: string, small: number, smallUnit: string): string {
  const rest = Math.floor((ms % big) / small);
  const head = `${Math.floor(ms / big)} ${bigUnit}`;
  return rest ? `${head} ${rest} ${smallUnit}` : head;
}

function long(ms: number): string {
  if (ms < HOUR) {
    return pair(ms, MINUTE, "min", SECOND, "s");
  }
  return ms < DAY ? pair(ms, HOUR, "h", MINUTE, "min") : pair(ms, DAY, "d", HOUR, "h");
}

/** A duration that is counted or measured: with fractions of a second while they matter. */
export function duration(ms: number): string {
  const length = Math.max(0, ms);
  if (length < SECOND) {
    return `${(Math.floor(length / 10) / 100).toFixed(2)} s`;
  }
  return length < MINUTE ? `${(Math.floor(length / 100) / 10).toFixed(1)} s` : long(length);
}

/** A duration that was configured or is long: whole seconds. */
export function span(ms: number): string {
  const length = Math.max(0, ms);
  return length < MINUTE ? `${Math.floor(length / SECOND)} s` : long(length);
}

/** The step to which `span` rounds a duration. */
export function resolution(ms: number): readonly [ms: number, unit: string] {
  if (ms < HOUR) {
    return [SECOND, "s"];
  }
  return ms < DAY ? [MINUTE, "min"] : [HOUR, "h"];
}

function coarse(ms: number): string {
  if (ms < MINUTE) {
    return `${Math.floor(ms / SECOND)} s`;
  }
  if (ms < HOUR) {
    return `${Math.floor(ms / MINUTE)} min`;
  }
  return ms < 2 * DAY ? `${Math.floor(ms / HOUR)} h` : `${Math.floor(ms / DAY)} days`;
}

/** In one unit only, so that it rarely changes. */
export function relative(then: number, now: number): string {
  const length = Math.abs(now - then);
  if (length < SECOND) {
    return "just now";
  }
  return then > now ? `in ${coarse(length)}` : `${coarse(length)} ago`;
}

const ABSOLUTE = new Intl.DateTimeFormat(undefined, {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZoneName: "short",
});

const LAST_TIME = 8.64e15;

/** Whether a number is a valid date. */
export function isTime(ms: number): boolean {
  return Math.abs(ms) <= LAST_TIME;
}

export function absolute(ms: number): string {
  return isTime(ms) ? ABSOLUTE.format(ms) : NONE;
}

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const DATE_AND_CLOCK = new Intl.DateTimeFormat(undefined, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
});

/** The time of day; with the date if that was not today. */
export function moment(ms: number, now: number): string {
  if (!isTime(ms)) {
    return NONE;
  }
  const sameDay = new Date(ms).toDateString() === new Date(now).toDateString();
  return (sameDay ? CLOCK : DATE_AND_CLOCK).format(ms);
}

/** With a separator between thousands. */
export function thousands(n: number): string {
  return n.toLocaleString("en-US");
}

export function count(n: number, noun: string): string {
  return `${thousands(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** Time that is left, as on a clock: "4:05". Digits of its whole length are kept, "04:05" of 30. */
export function clock(ms: number, total: number): string {
  const seconds = Math.floor(Math.max(0, ms) / SECOND);
  if (seconds >= 86_400) {
    return span(ms);
  }
  const two = (n: number) => String(n).padStart(2, "0");
  if (total >= HOUR || seconds >= 3600) {
    return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  }
  const minutes = String(Math.floor(seconds / 60));
  return `${minutes.padStart(total >= 10 * MINUTE ? 2 : 1, "0")}:${two(seconds % 60)}`;
}

const ENDINGS: Readonly<Record<string, string>> = { one: "st", two: "nd", few: "rd", other: "th" };
const ORDINALS = new Intl.PluralRules("en", { type: "ordinal" });

/** "1st", "2nd". */
export function ordinal(n: number): string {
  return `${thousands(n)}${ENDINGS[ORDINALS.select(n)]}`;
}

/** A measured value, to the first digit of its error, the second if that is a 1. */
export function measured(value: number, error: number | null): string {
  const minus = (text: string) => text.replace("-", "\u2212");
  if (error === null || error <= 0) {
    return minus(value.toFixed(4));
  }
  const power = Math.floor(Math.log10(error));
  const digits = Math.min(6, Math.max(0, (error / 10 ** power < 2 ? 1 : 0) - power));
  return `${minus(value.toFixed(digits))} ± ${error.toFixed(digits)}`;
}

/** A share of 1 in whole per cent. */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** How long ago, in one unit, short: "now", "3 s ago". */
export function ago(then: number, now: number): string {
  return Math.abs(now - then) < SECOND ? "now" : relative(then, now);
}

/** An ISO 8601 time in epoch ms, or null if it is not one. */
export function epoch(value: unknown): number | null {
  const ms = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isNaN(ms) ? null : ms;
}
