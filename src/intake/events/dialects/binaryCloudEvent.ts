import { isUtf8 } from 'node:buffer';
import { TidemarkError } from '../../../model/errors.ts';
import { parseJson } from '../../../model/json.ts';
import { withoutMark } from '../byteOrderMark.ts';
import { isJsonType } from './cloudEvent.ts';

/**
 * The CloudEvent, as the JSON format has it, of one in binary mode: JSON as `data`, other text as `data` too, and what
 * is not text as `data_base64`. So an event is stored the same whichever way it came.
 *
 * @param attributes by name, without prefix, decoded; `datacontenttype` says what the body is, by default JSON.
 * @param parse JSON.parse, or what takes its place.
 * @throws {TidemarkError} `invalid_json`, `invalid_encoding`, `invalid_request`.
 */
export function binaryCloudEvent(
  attributes: Readonly<Record<string, string>>,
  body: Buffer,
  parse: (json: string) => unknown = parseJson,
): Record<string, unknown> {
  if ('data' in attributes || 'data_base64' in attributes) {
    throw new TidemarkError('invalid_request', 'the data of a CloudEvent in binary mode are its body');
  }
  const event: Record<string, unknown> = Object.assign(Object.create(null), attributes);
  if (body.length === 0) return event;
  const type = attributes.datacontenttype;
  if (type === undefined || isJsonType(type)) event.data = readJson(body, parse);
  else if (isUtf8(body) && !body.includes(0)) event.data = body.toString('utf8');
  else event.data_base64 = body.toString('base64');
  return event;
}

function readJson(received: Buffer, parse: (json: string) => unknown): unknown {
  const body = withoutMark(received);
  if (!isUtf8(body)) throw refusal('invalid_encoding', 'is not valid UTF-8');
  try {
    return parse(body.toString('utf8'));
  } catch (error) {
    throw refusal('invalid_json', `is not valid JSON: ${(error as Error).message}`);
  }
}

function refusal(code: 'invalid_encoding' | 'invalid_json', message: string): TidemarkError {
  const fault = { index: 0, pointer: '/data', code, message };
  return new TidemarkError(code, `the body ${message}`, { errors: [fault] });
}
