import { formatPath, parseSingularPath } from '../../../sums/meters/definition/singularPath.ts';

/** The path to a member of the document by its name, for clients whose properties have no levels. */
export function memberPath(name: string): string {
  return formatPath([name]);
}

/** The name that such a path leads to; undefined: it leads elsewhere. */
export function memberName(path: string): string | undefined {
  const parsed = parseSingularPath(path);
  if ('fault' in parsed || parsed.steps.length !== 1) return undefined;
  const [name] = parsed.steps;
  return typeof name === 'string' ? name : undefined;
}
