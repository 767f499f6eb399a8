import { writeJson } from '../format/json.ts';
import { actingFor, addressOf, type Question } from './request.ts';

/**
 * The question as a command. The key is the shell's $KEY, never the key itself.
 *
 * @param origin of the service.
 */
export function curlOf(question: Question, origin = location.origin, tenant = actingFor()): string {
  const { method = 'GET', body, headers = {} } = question;
  const parts = ['curl -s'];
  if (method !== (body === undefined ? 'GET' : 'POST')) parts.push(`-X ${method}`);
  parts.push(quoted(origin + addressOf(question)), '-H "Authorization: Bearer $KEY"');
  const sent: Record<string, string> = { ...(tenant !== null && { 'X-Tenant-Id': tenant }), ...headers };
  if (body !== undefined) sent['Content-Type'] ??= 'application/json';
  for (const [name, value] of Object.entries(sent)) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body !== undefined) parts.push(`-d ${quoted(typeof body === 'string' ? body : writeJson(body, 0))}`);
  return parts.join(' ');
}

/** As one word of a shell. */
const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
