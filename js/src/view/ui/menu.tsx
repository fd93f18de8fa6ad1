import { useLayoutEffect, useRef } from "preact/hooks";
import { Button } from "./button";
import { THANKS_MS } from "./copy";
import { Icon, type IconName } from "./icons";
import { ENDS, OWN_KEYS } from "./keys";

export interface MenuItem {
  id: string;
  name: string;
  icon: IconName;
  /** It ends something that cannot be brought back. */
  destructive?: boolean;
  disabled?: boolean;
  /** Its name says for a moment what came of it. */
  answers?: boolean;
  act: () => void;
}

const STEPS: Readonly<Record<string, number>> = { ArrowDown: 1, ArrowUp: -1, ...ENDS };
const GAP = 4;

/** Puts the menu below its button, or above where there is no room. */
function place(menu: HTMLElement, button: HTMLElement): void {
  const [own, at] = [menu.getBoundingClientRect(), button.getBoundingClientRect()];
  const below = at.bottom + GAP;
  const top = below + own.height > innerHeight ? Math.max(0, at.top - GAP - own.height) : below;
  menu.style.top = `${top}px`;
  menu.style.left = `${Math.max(0, at.right - own.width)}px`;
}

interface MenuProps {
  items: readonly MenuItem[];
  /** The button that opens it; it gets the focus back. */
  buttonRef: { current: HTMLButtonElement | null };
}

/** A button with three dots, and the menu that it opens. */
export function Menu({ items, buttonRef }: MenuProps) {
  const menu = useRef<HTMLDivElement>(null);
  const entries = () => [...(menu.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];
  const close = (refocus: boolean) => {
    menu.current?.hidePopover();
    if (refocus) {
      buttonRef.current?.focus({ preventScroll: true });
    }
  };
  useLayoutEffect(() => {
    const element = menu.current;
    const onToggle = (event: Event) => {
      const open = (event as ToggleEvent).newState === "open";
      buttonRef.current?.setAttribute("aria-expanded", String(open));
      if (open && element && buttonRef.current) {
        place(element, buttonRef.current);
        entries()[0]?.focus({ preventScroll: true });
      }
    };
    element?.addEventListener("toggle", onToggle);
    return () => element?.removeEventListener("toggle", onToggle);
  }, []);
  const onKeyDown = (event: KeyboardEvent) => {
    const all = entries();
    const at = all.indexOf(event.target as HTMLElement);
    const step = STEPS[event.key];
    if (step !== undefined) {
      event.preventDefault();
      const next = Math.abs(step) === 1 ? (at + step + all.length) % all.length : step < 0 ? 0 : -1;
      all.at(next)?.focus({ preventScroll: true });
    } else if (event.key === "Escape" || event.key === "Tab") {
      event.preventDefault();
      close(true);
    }
  };
  return (
    <>
      <Button
        class="qsw-icon-button qsw-more"
        data-testid="qsw-menu"
        aria-label="More actions"
        title="More actions"
        aria-haspopup="menu"
        aria-expanded="false"
        ref={buttonRef}
        onClick={() => menu.current?.togglePopover()}
      >
        <Icon name="more" />
      </Button>
      <div
        class="qsw-menu"
        role="menu"
        aria-label="More actions"
        tabIndex={-1}
        // The browser closes it at a click elsewhere, and draws it above everything.
        popover="auto"
        ref={menu}
        onKeyDown={onKeyDown}
        {...OWN_KEYS}
      >
        {items.map(({ id, name, icon, destructive, disabled, answers, act }) => (
          <Button
            key={id}
            role="menuitem"
            tabIndex={-1}
            class={destructive ? "qsw-item qsw-destructive" : "qsw-item"}
            data-testid={`qsw-${id}`}
            aria-disabled={disabled === true}
            onClick={() => {
              if (disabled) {
                return;
              }
              act();
              if (answers) {
                setTimeout(() => close(menu.current?.matches(":focus-within") === true), THANKS_MS);
              } else {
                close(true);
              }
            }}
          >
            <Icon name={icon} />
            {name}
          </Button>
        ))}
      </div>
    </>
  );
}
