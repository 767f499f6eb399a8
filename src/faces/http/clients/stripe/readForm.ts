import { TidemarkError } from '../../../../model/errors.ts';

/** Parameters of a form, or of a query, in which names in brackets lead to members: `payload[value]=25`. */
export interface Form {
  [name: string]: string | Form;
}

/** Names of brackets that are followed, one inside the other. */
const MAX_LEVELS = 5;

/**
 * Reads `application/x-www-form-urlencoded` as Stripe's client writes it.
 *
 * @throws {TidemarkError} `invalid_request` where a name is no such name, or is both a value and a group;
 * `invalid_encoding` where an escape is none of UTF-8.
 */
export function readForm(text: string): Form {
  requireEscapes(text);
  const form = Object.create(null) as Form;
  for (const [name, value] of new URLSearchParams(text)) put(form, pathOf(name), value);
  return form;
}

/** URLSearchParams makes one character of whatever is no UTF-8, and one of two customers. */
function requireEscapes(text: string): void {
  try {
    decodeURIComponent(text);
  } catch (error) {
    throw new TidemarkError('invalid_encoding', 'the form has escapes that are no UTF-8', { cause: error });
  }
}

function pathOf(name: string): string[] {
  const match = /^([^[\]]+)((?:\[[^[\]]*\])*)$/.exec(name);
  if (!match)
    throw new TidemarkError('invalid_request', `${name.slice(0, 100)} is not the name of a parameter`);
  const inner = [...match[2]!.matchAll(/\[([^[\]]*)\]/g)].map(([, key]) => key!);
  if (inner.length > MAX_LEVELS)
    throw new TidemarkError('invalid_request', 'parameters are nested too deeply');
  return [match[1]!, ...inner];
}

function put(form: Form, path: string[], value: string): void {
  let group = form;
  for (const name of path.slice(0, -1)) {
    group[name] ??= Object.create(null) as Form;
    const inner = group[name];
    if (typeof inner === 'string') throw new TidemarkError('invalid_request', `${name} is there twice`);
    group = inner;
  }
  const last = path.at(-1)!;
  if (typeof group[last] === 'object') throw new TidemarkError('invalid_request', `${last} is there twice`);
  group[last] = value;
}
