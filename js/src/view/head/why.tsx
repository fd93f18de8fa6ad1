import type { Why } from "../../contract";
import { OWN_KEYS } from "../ui/keys";
import { When } from "../ui/when";

interface WhyProps {
  why: Why;
  serverNow: number;
}

/** One sentence about the session's state; the link leads to the document that defines it. */
export function WhyLine({ why, serverNow }: WhyProps) {
  const { parts, fields, document } = why;
  return (
    <p class="qsw-why" data-testid="qsw-why">
      {[...parts.entries()].map(([at, part]) =>
        typeof part === "string" ? part : <When key={at} ms={part} serverNow={serverNow} />,
      )}{" "}
      {document.startsWith("https://") && (
        <a
          href={document}
          target="_blank"
          rel="noopener noreferrer"
          aria-label="Source of this explanation"
          title={fields.length > 0 ? `From ${fields.join(", ")}` : undefined}
          {...OWN_KEYS}
        >
          source
        </a>
      )}
    </p>
  );
}
