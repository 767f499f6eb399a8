import { TidemarkError } from '../../model/errors.ts';

/**
 * What groupBy lists, separated by commas; none where it is empty or left out.
 *
 * @param known what may be listed, each at most once.
 * @throws {TidemarkError} `invalid_request`.
 */
export function groupingsOf<Grouping extends string>(
  listed: string | undefined,
  known: readonly Grouping[],
): Grouping[] {
  if (listed === undefined || listed === '') return [];
  const groups = listed.split(',').map((group) => group.trim());
  const unknown = groups.some((group) => !known.includes(group as Grouping));
  if (unknown || new Set(groups).size !== groups.length) {
    throw new TidemarkError('invalid_request', `groupBy: each of ${known.join(', ')} at most once`);
  }
  return groups as Grouping[];
}
