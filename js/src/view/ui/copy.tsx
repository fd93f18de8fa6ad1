import { useEffect, useState } from "preact/hooks";
import { Button } from "./button";
import { Icon, type IconName } from "./icons";

/** How long the outcome is shown, in ms. */
export const THANKS_MS = 1500;

/** How a button that copies looks at the moment. */
export interface Copying {
  name: string;
  icon: IconName;
  copy: () => void;
}

/** Copies a text, and says whether that was possible. `what` is as in "Copy session id". */
export function useCopy(text: string, what: string): Copying {
  const [copied, setCopied] = useState<boolean | null>(null);
  useEffect(() => {
    if (copied !== null) {
      const timer = setTimeout(() => setCopied(null), THANKS_MS);
      return () => clearTimeout(timer);
    }
  }, [copied]);
  // Without a secure context there is no clipboard; the text can still be selected by hand.
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch (error) {
      console.warn(error);
      setCopied(false);
    }
  };
  if (copied === null) {
    return { name: `Copy ${what}`, icon: "copy", copy };
  }
  const name = `${what.charAt(0).toUpperCase()}${what.slice(1)}`;
  return copied
    ? { name: `${name} copied`, icon: "completed", copy }
    : { name: `${name} not copied: no access`, icon: "failed", copy };
}

interface CopyProps {
  text: string;
  what: string;
  testId?: string;
}

export function CopyButton({ text, what, testId }: CopyProps) {
  const { name, icon, copy } = useCopy(text, what);
  return (
    <Button
      class="qsw-icon-button"
      data-testid={testId}
      aria-label={name}
      title={name}
      onClick={copy}
    >
      <Icon name={icon} />
    </Button>
  );
}
