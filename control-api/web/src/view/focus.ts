// Where the keyboard's place goes when the part of the page that has it comes or goes.

import type { RefObject } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

/** The focus goes to the first element of `next` that is there when this part disappears while it has the focus. */
export function useHandOn<T extends HTMLElement>(...next: readonly string[]): RefObject<T | null> {
  const part = useRef<T>(null);
  useLayoutEffect(() => {
    const shown = part.current;
    return () => {
      if (shown?.contains(document.activeElement)) queueMicrotask(() => focusFirst(next));
    };
  }, []);
  return part;
}

/** A frame that the agent does not type into leaves the keyboard to the page around it. */
export function focusFirst(selectors: readonly string[]): void {
  if (!document.hasFocus()) return;
  for (const selector of selectors) {
    const element = document.querySelector<HTMLElement>(selector);
    if (!element) continue;
    element.focus();
    return;
  }
}
