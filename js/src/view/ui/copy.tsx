import { useEffect, useState } from "preact/hooks";
import { Button } from "./button";
import { Icon } from "./icons";

const THANKS_MS = 1500;

interface CopyProps {
  text: string;
  /** What is copied, as in "Copy session id". */
  what: string;
  testId?: string;
}

export function CopyButton({ text, what, testId }: CopyProps) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (copied) {
      const timer = setTimeout(() => setCopied(false), THANKS_MS);
      return () => clearTimeout(timer);
    }
  }, [copied]);
  // Without a secure context there is no clipboard; the text can still be selected by hand.
  const copy = () => navigator.clipboard?.writeText(text).then(() => setCopied(true), console.warn);
  const name = `${what.charAt(0).toUpperCase()}${what.slice(1)}`;
  return (
    <Button
      class="qsw-icon-button"
      data-testid={testId}
      aria-label={copied ? `${name} copied` : `Copy ${what}`}
      title={copied ? "Copied" : `Copy ${what}`}
      onClick={copy}
    >
      <Icon name={copied ? "completed" : "copy"} />
    </Button>
  );
}
