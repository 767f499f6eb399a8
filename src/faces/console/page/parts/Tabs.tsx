import { oneOf } from '../address/oneOf.ts';
import { usePlace } from '../address/place.ts';

interface TabsProps {
  label: string;
  /** Id to text; the first one is the default. */
  tabs: Record<string, string>;
  /** Of the parameter in the address. */
  name?: string;
}

/** Parts of a page, of which the address names one: links, so that each can be kept and gone back to. */
export function Tabs({ label, tabs, name = 'tab' }: TabsProps) {
  const place = usePlace();
  const [first] = Object.keys(tabs);
  const current = oneOf(tabs, place.get(name));
  return (
    <nav class="tabs" aria-label={label}>
      {Object.entries(tabs).map(([id, text]) => (
        <a
          href={place.link([place.page, ...place.rest], { [name]: id === first ? null : id })}
          aria-current={id === current ? 'page' : undefined}
        >
          {text}
        </a>
      ))}
    </nav>
  );
}
