/**
 * Notebooks bind plain keys: `d d` deletes the cell. JupyterLab looks for this attribute on the
 * focused element itself, so everything in the panel that can have the focus must carry it.
 */
export const OWN_KEYS = { "data-lm-suppress-shortcuts": "true" } as const;

/** Other hosts listen on outer elements. Keys with a modifier are left to them. */
export function keepPlainKeys(event: KeyboardEvent): void {
  if (!event.ctrlKey && !event.metaKey && !event.altKey) {
    event.stopPropagation();
  }
}
