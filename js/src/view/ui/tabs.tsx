import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { Button } from "./button";
import { isPlain } from "./keys";

export interface Tab<T extends string> {
  id: T;
  name: string;
}

interface TabsProps<T extends string> {
  tabs: readonly Tab<T>[];
  selected: T;
  onSelect: (id: T) => void;
  /** What stands at the end of the line. */
  aside: ComponentChildren;
  /** The content of the selected tab. */
  children: ComponentChildren;
}

const STEPS: Readonly<Record<string, number>> = { ArrowRight: 1, ArrowLeft: -1 };

export function Tabs<T extends string>(props: TabsProps<T>) {
  const { tabs, selected, onSelect, aside, children } = props;
  const base = useId();
  const onKeyDown = (event: KeyboardEvent) => {
    const step = STEPS[event.key];
    if (step === undefined || !isPlain(event)) {
      return;
    }
    event.preventDefault();
    const at = tabs.findIndex(({ id }) => id === selected);
    const next = tabs[(at + step + tabs.length) % tabs.length];
    if (next) {
      onSelect(next.id);
      document.getElementById(`${base}-${next.id}`)?.focus({ preventScroll: true });
    }
  };
  return (
    <>
      <div class="qsw-tabs">
        <div role="tablist" aria-label="Views of the session" onKeyDown={onKeyDown}>
          {tabs.map(({ id, name }) => (
            <Button
              key={id}
              role="tab"
              id={`${base}-${id}`}
              data-testid={`qsw-tab-${id}`}
              aria-selected={id === selected}
              aria-controls={`${base}-panel`}
              tabIndex={id === selected ? 0 : -1}
              onClick={() => onSelect(id)}
            >
              {name}
            </Button>
          ))}
        </div>
        {aside}
      </div>
      <div role="tabpanel" id={`${base}-panel`} aria-labelledby={`${base}-${selected}`}>
        {children}
      </div>
    </>
  );
}
