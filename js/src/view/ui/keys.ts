/**
 * Notebooks bind plain keys: `d d` deletes the cell. JupyterLab looks for this attribute on the
 * focused element itself, so everything in the panel that can have the focus must carry it.
 */
export const OWN_KEYS = { "data-lm-suppress-shortcuts": "true" } as const;

/** Keys with a modifier are left to the host. */
export function isPlain({ ctrlKey, metaKey, altKey }: KeyboardEvent): boolean {
  return !ctrlKey && !metaKey && !altKey;
}

/** Other hosts listen on outer elements. */
export function keepPlainKeys(event: KeyboardEvent): void {
  if (isPlain(event)) {
    event.stopPropagation();
  }
}

/** Steps that lead to the first and the last of a list, however long it is. */
export const ENDS = { Home: -1e9, End: 1e9 } as const;
