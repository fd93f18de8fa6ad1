import { useId } from "preact/hooks";

/** The states of a session and how one follows another, with the present one marked. */

const BOXES = {
  Waiting: [0, 8],
  Running: [116, 8],
  "Idle (paid)": [232, 8],
  Inactive: [232, 64],
  Closing: [0, 64],
  Closed: [116, 64],
} as const;
const WIDTH = 84;
const HEIGHT = 26;

const ARROWS = [
  "M84 21H113",
  "M200 17H229",
  "M232 26H203",
  "M274 34V61",
  "M232 68C214 58 190 52 176 37",
  "M130 34C120 52 104 58 87 68",
  "M84 77H113",
];

/** What leads from one state to the next, for users who cannot see the arrows. */
const PATHS =
  "Waiting, then Running and Idle by turns; Inactive when no job comes in time, until one starts; " +
  "Closing once it is closed, and Closed after its last job.";

export function Diagram({ word }: { word: string }) {
  const tip = useId();
  const here = word === "Idle" ? "Idle (paid)" : word;
  if (!(here in BOXES)) {
    return null;
  }
  return (
    <figure class="qsw-diagram" data-testid="qsw-diagram" data-here={word}>
      <svg viewBox="-2 0 322 98" role="img" aria-label={`The session is ${word}. ${PATHS}`}>
        <defs>
          <marker
            id={tip}
            viewBox="0 0 6 6"
            refX="5"
            refY="3"
            markerWidth="6"
            markerHeight="6"
            orient="auto"
          >
            <path d="M0 0L6 3L0 6z" />
          </marker>
        </defs>
        {ARROWS.map((d) => (
          <path key={d} class="qsw-arrow" d={d} marker-end={`url(#${tip})`} />
        ))}
        {Object.entries(BOXES).map(([name, [x, y]]) => (
          <g key={name} class={name === here ? "qsw-here" : undefined}>
            <rect x={x} y={y} width={WIDTH} height={HEIGHT} rx="13" />
            <text x={x + WIDTH / 2} y={y + 17}>
              {name === here ? word : name}
            </text>
          </g>
        ))}
      </svg>
    </figure>
  );
}
