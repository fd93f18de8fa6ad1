import type { Why } from "../../contract";
import { moment } from "../ui/format";
import { OWN_KEYS } from "../ui/keys";
import { When } from "../ui/when";

interface WhyProps {
  why: Why;
  serverNow: number;
}

export function whyText({ parts }: Why, serverNow: number): string {
  return parts.map((part) => (typeof part === "string" ? part : moment(part, serverNow))).join("");
}

/** One sentence about the session's state. */
export function WhySentence({ why, serverNow }: WhyProps) {
  const text = whyText(why, serverNow);
  return (
    // Another sentence is another element, so that none of its words seem to move.
    <p class="qsw-why" data-testid="qsw-why" key={text} title={text}>
      {[...why.parts.entries()].map(([at, part]) =>
        typeof part === "string" ? part : <When key={at} ms={part} serverNow={serverNow} />,
      )}
    </p>
  );
}

/** Leads to the document that defines what the sentence says; always in the same place. */
export function Source({ why: { fields, document } }: { why: Why }) {
  return document.startsWith("https://") ? (
    <a
      class="qsw-source"
      href={document}
      target="_blank"
      rel="noopener noreferrer"
      aria-label="Source of this explanation"
      title={fields.length > 0 ? `From ${fields.join(", ")}` : undefined}
      {...OWN_KEYS}
    >
      source
    </a>
  ) : null;
}
