import type { Head, Holder } from "../../contract";
import { CAN_SHOW, request, SHOW } from "../../registry";
import { Button } from "../ui/button";
import { clock } from "../ui/format";
import { When } from "../ui/when";

/** The panel of a session in this page; null if there is none. */
function panelOf(sessionId: string): HTMLElement | null {
  const panels = document.querySelectorAll<HTMLElement>("[data-session-id]");
  return [...panels].find(({ dataset }) => dataset.sessionId === sessionId) ?? null;
}

/** Brings the other session's panel into view; in JupyterLab its notebook as well. */
function show(sessionId: string): void {
  if (!request(SHOW, sessionId)) {
    const panel = panelOf(sessionId);
    panel?.scrollIntoView({ block: "center" });
    panel?.focus({ preventScroll: true });
  }
}

function Who({ holder }: { holder: Holder }) {
  const { mine, session_id, name, place, kernel_gone } = holder;
  if (!mine) {
    return <>another user's session</>;
  }
  return (
    <>
      your session{" "}
      {name ? (
        <strong>{name}</strong>
      ) : (
        <code title={session_id ?? ""}>{session_id?.slice(0, 8)}…</code>
      )}
      {place !== null && (
        <>
          {" "}
          in <strong>{place}</strong>
        </>
      )}
      {kernel_gone && ", whose kernel is gone"}
    </>
  );
}

interface HolderProps {
  head: Head;
  serverNow: number;
  disabled: boolean;
  /** null if nothing can be done. */
  onClose: ((sessionId: string) => void) | null;
}

/** Who has the device for which this session waits, and what can be done. */
export function HolderStrip({ head, serverNow, disabled, onClose }: HolderProps) {
  const { holder } = head;
  if (!holder) {
    return null;
  }
  const id = holder.mine ? holder.session_id : null;
  const left = holder.until - serverNow;
  return (
    <div class="qsw-holder" data-testid="qsw-holder">
      <p>
        <strong>{head.backend_name}</strong> is held by <Who holder={holder} />
        {holder.idle ? ", idle" : ", running"}
        {holder.until > 0 && (
          <>
            , until <When ms={holder.until} serverNow={serverNow} />
            {left > 0 && ` (${clock(left, 0)})`}
          </>
        )}
        .
      </p>
      {id !== null && onClose && (
        <div class="qsw-actions">
          {(panelOf(id) !== null || request(CAN_SHOW, id)) && (
            <Button class="qsw-button" data-testid="qsw-show-holder" onClick={() => show(id)}>
              Show it
            </Button>
          )}
          <Button
            class="qsw-button qsw-primary"
            data-testid="qsw-close-holder"
            disabled={disabled}
            onClick={() => onClose(id)}
          >
            Close it
          </Button>
        </div>
      )}
    </div>
  );
}
