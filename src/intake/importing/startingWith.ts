/**
 * Some items, then all others. No generator: another one around millions of rows would cost each of them some promises.
 *
 * @param fault is thrown behind the items, in place of the others.
 */
export function startingWith<Item>(
  items: readonly Item[],
  others: AsyncIterator<Item>,
  fault: { error: unknown } | null = null,
): AsyncIterableIterator<Item> {
  let at = 0;
  return {
    next(): Promise<IteratorResult<Item>> {
      if (at < items.length) return Promise.resolve({ done: false, value: items[at++]! });
      return fault ? Promise.reject(fault.error) : others.next();
    },
    return: async () => (await others.return?.()) ?? { done: true, value: undefined },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
