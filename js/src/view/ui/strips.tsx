import { useState } from "preact/hooks";
import type { Notice } from "../../contract";
import { Button } from "./button";
import { Icon } from "./icons";

/** Shows commands that the kernel will receive when its cell has ended. */
export function WaitingStrip({ names }: { names: readonly string[] }) {
  const acts = names.length === 1 ? "acts" : "act";
  return names.length === 0 ? null : (
    <p class="qsw-strip qsw-warning" data-testid="qsw-waiting">
      <Icon name="queued" />
      <span>
        The kernel is busy: <strong>{names.join(", ")}</strong> {acts} after the running cell.
      </span>
    </p>
  );
}

export function NoticeStrip({ notice }: { notice: Notice }) {
  const [dismissed, setDismissed] = useState(0);
  if (notice.n === 0 || notice.n === dismissed) {
    return null;
  }
  return (
    <div class={`qsw-strip qsw-${notice.level}`} data-testid="qsw-notice">
      <Icon name={notice.level === "error" ? "failed" : "info"} />
      <span class="qsw-grow">
        {notice.command && <strong>{notice.command}: </strong>}
        {notice.text}
      </span>
      <Button
        class="qsw-icon-button"
        aria-label="Dismiss"
        title="Dismiss"
        onClick={() => setDismissed(notice.n)}
      >
        <Icon name="cross" />
      </Button>
    </div>
  );
}
