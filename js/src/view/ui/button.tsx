import type { ComponentProps } from "preact";
import { OWN_KEYS } from "./keys";

/** A button that keeps its plain keys from the notebook. */
export function Button(props: ComponentProps<"button">) {
  return <button type="button" {...props} {...OWN_KEYS} />;
}
