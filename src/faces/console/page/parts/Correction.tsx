import { Badge } from './Badge.tsx';
import type { Note } from './note.ts';

/** Why a window has changed, or an event counts or not. */
export const Cause = ({ cause }: { cause: string }) => <Badge>{cause.replaceAll('_', ' ')}</Badge>;

/** A reason, and whose it is. */
export const Why = ({ note }: { note: Note | undefined }) =>
  note ? (
    <>
      {note.reason}{' '}
      <small title={note.actor.keyId ?? undefined}>
        {note.actor.keyId === null ? note.actor.kind : `key ${note.actor.keyId.slice(0, 8)}`}
      </small>
    </>
  ) : null;
