import type { ComponentChildren } from 'preact';
import { link, type Params } from './place.ts';

interface LinkProps {
  to: string | string[];
  params?: Params;
  class?: string;
  'aria-current'?: 'page' | 'true' | undefined;
  children: ComponentChildren;
}

/** A link to a page of the console. Clicks are followed without loading it anew (followLinks in main.tsx). */
export function Link({ to, params, children, ...rest }: LinkProps) {
  return (
    <a href={link(to, params)} {...rest}>
      {children}
    </a>
  );
}
