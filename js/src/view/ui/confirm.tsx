import { useLayoutEffect, useRef } from "preact/hooks";
import type { Command } from "../../contract";
import { Button } from "./button";
import type { SessionCommand } from "./consequence";

export const PENDING_NAMES: Readonly<Record<SessionCommand, string>> = {
  close: "Closing…",
  cancel: "Cancelling…",
  cancel_queued: "Cancelling…",
};

/** The question before a command is sent. */
export interface Question {
  command: Command;
  name: string;
  consequence: string;
  /** The harmless answer. */
  keep: string;
}

interface ConfirmProps {
  question: Question;
  disabled: boolean;
  onConfirm: () => void;
  onDismiss: () => void;
}

export function Confirm({ question, disabled, onConfirm, onDismiss }: ConfirmProps) {
  const { name, keep } = question;
  const dismiss = useRef<HTMLButtonElement>(null);
  // The harmless answer gets the focus.
  useLayoutEffect(() => dismiss.current?.focus({ preventScroll: true }), [name]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape") {
      onDismiss();
    }
  };
  return (
    <fieldset
      class="qsw-strip qsw-confirm"
      data-testid="qsw-confirm-strip"
      aria-label={name}
      onKeyDown={onKeyDown}
    >
      <p>
        <strong>{name}?</strong> {question.consequence}
      </p>
      <div class="qsw-actions">
        <Button
          class="qsw-button"
          data-testid="qsw-dismiss-confirm"
          ref={dismiss}
          onClick={onDismiss}
        >
          {keep}
        </Button>
        <Button
          class="qsw-button qsw-danger"
          data-testid="qsw-confirm"
          disabled={disabled}
          onClick={onConfirm}
        >
          {name}
        </Button>
      </div>
    </fieldset>
  );
}
