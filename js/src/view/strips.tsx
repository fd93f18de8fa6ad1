import { useState } from "preact/hooks";
import type { Link, Notice } from "../contract";
import { Icon } from "./icons";
import { OWN_KEYS } from "./keys";

export function RetryStrip({ link }: { link: Link }) {
  return (
    <p class="qsw-strip qsw-warning" data-testid="qsw-link-error">
      <Icon name="retrying" />
      <span>Trying again: {link.error ?? "the service did not answer"}</span>
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
      <span class="qsw-grow">{notice.text}</span>
      <button
        type="button"
        class="qsw-icon-button"
        aria-label="Dismiss"
        title="Dismiss"
        onClick={() => setDismissed(notice.n)}
        {...OWN_KEYS}
      >
        <Icon name="cross" />
      </button>
    </div>
  );
}
