/** A UUID by its beginning, which tells it from others to the eye; anything else as it is. */
export function Id({ id }: { id: string | null }) {
  if (id === null) return null;
  return /^[0-9a-f]{8}-/.test(id) ? <code title={id}>{id.slice(0, 8)}</code> : <code>{id}</code>;
}
