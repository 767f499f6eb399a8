/**
 * Some items, then all others.
 *
 * @param fault is thrown behind the items, in place of the others.
 */
export async function* startingWith<Item>(
  items: readonly Item[],
  others: AsyncIterable<Item>,
  fault: { error: unknown } | null = null,
): AsyncGenerator<Item> {
  yield* items;
  if (fault) throw fault.error;
  yield* others;
}
