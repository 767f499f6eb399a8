import type { Context } from 'hono';
import { TidemarkError } from '../../../../model/errors.ts';
import type { AppEnv } from '../../appEnv.ts';
import { PROBLEM_TYPE, problemText } from '../../problem.ts';
import { errorAnswer, theirStatus, wholeMessage } from '../answers.ts';

/**
 * Problem details, whose type comes without a charset: with one, the client reads nothing of them. What it shows is the
 * detail, so that has what is wrong with the events too.
 */
export function refuseAsOpenMeter(c: Context<AppEnv>, error: TidemarkError): Response {
  const status = theirStatus(error);
  const told = JSON.parse(problemText(error, c.get('requestId'))) as Record<string, unknown>;
  const title = status === 400 ? 'Bad Request' : told.title;
  const body = { ...told, status, title, detail: wholeMessage(error), instance: c.get('requestId') };
  return errorAnswer(c, error, { status, type: PROBLEM_TYPE, body });
}

/** What is not here at all. @throws always. */
export function refuseAsMissing(what: string): never {
  throw new TidemarkError('not_implemented', `${what}: this service does not have them (yet)`);
}

/** Names of a meter's members, ours and theirs. */
const MEMBERS: [ours: string, theirs: string][] = [
  ['/value', '/valueProperty'],
  ['/dimensions', '/groupBy'],
];

/** A fault of a meter, by the names that the client knows. Anything else stays as it is. */
export function inTheirWords(error: unknown): unknown {
  if (!(error instanceof TidemarkError)) return error;
  const { code, message, errors, cause } = error;
  if (code === 'meter_exists')
    return new TidemarkError(code, 'meter with the same slug already exists', { cause });
  if (code !== 'invalid_request' || !errors) return error;
  const theirs = errors.map((fault) => ({ ...fault, pointer: renamed(fault.pointer) }));
  const [first] = theirs;
  const text = first ? `${first.pointer.slice(1) || 'the meter'}: ${first.message}` : message;
  return new TidemarkError(code, text, { errors: theirs, cause });
}

function renamed(pointer: string): string {
  const found = MEMBERS.find(([ours]) => pointer === ours || pointer.startsWith(`${ours}/`));
  return found ? found[1] + pointer.slice(found[0].length) : pointer;
}
