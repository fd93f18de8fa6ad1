import { useLayoutEffect, useRef } from "preact/hooks";
import type { Command } from "../../contract";
import type { Counts } from "../state/job-list";
import { Button } from "./button";
import { count } from "./format";

export type SessionCommand = "close" | "cancel" | "cancel_queued";

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

/** What the command will do, and to how many jobs. */
export function consequence(command: SessionCommand, { queued, running }: Counts): string {
  if (command === "close") {
    const verb = queued + running === 1 ? "finishes" : "finish";
    return `Takes no new jobs; ${queued} queued and ${count(running, "running job")} ${verb}.`;
  }
  const cancelled = `${count(queued, "queued job")} ${queued === 1 ? "is" : "are"} cancelled`;
  if (command === "cancel_queued") {
    const goOn = `${count(running, "running job")} ${running === 1 ? "goes" : "go"} on`;
    return `${cancelled}, ${goOn}, and new jobs are still taken.`;
  }
  const finish = `${count(running, "running job")} ${running === 1 ? "finishes" : "finish"}`;
  return `${cancelled}, ${finish}, no new jobs.`;
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
