import { differences } from './event.ts';

/** Path, before and after of what differs. */
export function Differences({ before, after }: { before: unknown; after: unknown }) {
  const all = differences(before, after);
  if (all.length === 0) return <small>nothing</small>;
  return (
    <>
      {all.map(([path, from, to]) => (
        <div>
          {path}: <code class="minus">{from || 'none'}</code> → <code class="plus">{to || 'none'}</code>
        </div>
      ))}
    </>
  );
}
