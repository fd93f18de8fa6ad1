/** 16 px line icons in the text's colour. They repeat the words beside them. */

const PATHS = {
  cancelled: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M4.2 4.2l7.6 7.6",
  chevron: "M6 4l4 4-4 4",
  completed: "M3.5 8.5l3 3 6-7",
  copy: "M6 6h7v7H6zM10 6V3H3v7h3",
  cross: "M4.5 4.5l7 7M11.5 4.5l-7 7",
  failed: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M8 5v3.6M8 10.7v.3",
  info: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M8 7.4V11M8 5v.3",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  offline:
    "M3 3l10 10M4 8.2A6 6 0 0 1 6 7M12 8.2a6 6 0 0 0-3-1.6M6.4 10.6a2.6 2.6 0 0 1 3.2 0M8 13v.2",
  queued: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M8 5v3.2l2.2 1.4",
  retrying: "M12.8 6A5.2 5.2 0 1 0 13 9.5M13 3v3.2H9.8",
  running: "M5 3.5v9l7.5-4.5z",
  unknown: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M8 8v.2",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class={`qsw-icon qsw-icon-${name}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
