import { isUtf8 } from 'node:buffer';
import type { Context } from 'hono';
import { TidemarkError } from '../../model/errors.ts';
import type { AppEnv } from './appEnv.ts';
import { headerText } from './headerText.ts';
import { requestHeader, requestHeadersWith } from './nodeHttp.ts';

const PREFIX = 'ce-';

/**
 * The attributes of a CloudEvent in binary mode, from its headers (HTTP binding 1.0.2, §3.1).
 *
 * @throws {TidemarkError} `invalid_request` where a value cannot be decoded or is there twice.
 */
export function ceAttributes(c: Context<AppEnv>): Record<string, string> {
  const attributes = Object.create(null) as Record<string, string>;
  for (const [header, values] of requestHeadersWith(c, PREFIX)) {
    if (values.length !== 1) throw new TidemarkError('invalid_request', `${header} may be sent once`);
    const value = decodeHeader(values[0]!);
    if (value === null) {
      throw new TidemarkError('invalid_request', `${header} is neither percent-encoded nor plain UTF-8`);
    }
    attributes[header.slice(PREFIX.length)] = value;
  }
  const type = requestHeader(c, 'content-type');
  if (type === undefined) delete attributes.datacontenttype;
  else attributes.datacontenttype = type;
  return attributes;
}

/**
 * A header's value as the HTTP binding (1.0.2, §3.1.3.2) has it decoded: out of its double quotes, if it is in such,
 * then percent-decoded once. What is no percent-encoding stays as it is, but for its characters (`headerText`).
 *
 * @param value one character per byte, as Node has headers.
 * @returns null when that is no text.
 */
export function decodeHeader(value: string): string | null {
  const quoted = /^"((?:[^"\\]|\\.)*)"$/s.exec(value);
  const plain = headerText(quoted ? quoted[1]!.replace(/\\(.)/gs, '$1') : value);
  let isText = plain !== null;
  const decoded = plain?.replace(/(?:%[0-9a-fA-F]{2})+/g, (run) => {
    const bytes = Buffer.from(run.replaceAll('%', ''), 'hex');
    isText &&= isUtf8(bytes);
    return bytes.toString('utf8');
  });
  return isText ? decoded! : null;
}
