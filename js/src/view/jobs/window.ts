/** Computes which rows of a long table are in the page. Rows have the same height; one may be open. */

export const ROW_HEIGHT = 28;
/** The height of an opened row's details before it is measured. */
export const DETAIL_HEIGHT = 200;
export const VISIBLE_ROWS = 10;
const OVERSCAN = 3;

export interface RowWindow {
  first: number;
  /** One past the last row. */
  last: number;
  /** Heights in px of the rows that are left out before and after. */
  above: number;
  below: number;
}

export function rowWindow(
  count: number,
  topRow: number,
  opened: number | null,
  detailHeight: number,
): RowWindow {
  const slack = opened === null ? 0 : Math.ceil(detailHeight / ROW_HEIGHT);
  const last = Math.min(count, topRow + VISIBLE_ROWS + 1 + OVERSCAN);
  const first = Math.max(0, Math.min(topRow - slack - OVERSCAN, last));
  const extra = (hidden: boolean) => (hidden ? detailHeight : 0);
  return {
    first,
    last,
    above: first * ROW_HEIGHT + extra(opened !== null && opened < first),
    below: (count - last) * ROW_HEIGHT + extra(opened !== null && opened >= last),
  };
}

/** The top of a row, in px below the header. */
export function rowTop(position: number, opened: number | null, detailHeight: number): number {
  return position * ROW_HEIGHT + (opened !== null && opened < position ? detailHeight : 0);
}
