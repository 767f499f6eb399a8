import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { createApp } from '../../src/faces/http/app.ts';
import { HttpMetrics } from '../../src/faces/http/httpMetrics.ts';
import { statusOf } from '../../src/faces/http/problem.ts';
import type { Services } from '../../src/faces/http/services.ts';
import { loadConfig } from '../../src/ground/config/loadConfig.ts';
import { createLogger } from '../../src/ground/telemetry/logger.ts';
import { createRegistry } from '../../src/ground/telemetry/metrics.ts';
import type { ErrorCode } from '../../src/model/errors.ts';

/*
 * npm run docs:api: docs/api.md from the service's own OpenAPI description. A test says when it is out of date.
 */

export const API_PAGE = fileURLToPath(new URL('../api.md', import.meta.url));

/** Examples bear the present time, so that they can be sent as they are; on the page it is the shell's, or stands still. */
const EXAMPLE_TIME = '2026-03-01T12:00:00.000Z';
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

// biome-ignore lint/suspicious/noExplicitAny: an OpenAPI document
type Any = any;

/** The page as Markdown. */
export async function renderApiPage(): Promise<string> {
  // Routes are described without anything behind them.
  const services = {
    config: loadConfig({}),
    accepting: () => true,
    httpMetrics: new HttpMetrics(createRegistry(), () => true),
    log: createLogger({ logLevel: 'fatal' }),
  };
  const app = createApp(services as unknown as Services);
  const made = Date.now();
  const text = await (await app.request('/openapi.json')).text();
  const still = text.replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, (time) =>
    Math.abs(Date.parse(time) - made) < 60_000 ? EXAMPLE_TIME : time,
  );
  const document: Any = JSON.parse(still);
  const operations = Object.entries<Any>(document.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => method in item).map((method) => ({ path, method, ...item[method] })),
  );
  const tagOf = ({ tags }: Any): string => tags?.[0] ?? 'Other';
  const groups = [...new Set(operations.map(tagOf))].map((tag) => ({
    tag,
    members: operations.filter((operation) => tagOf(operation) === tag),
  }));
  const parts = [
    '# HTTP API',
    '<!-- Made by npm run docs:api. Do not edit. -->',
    INTRODUCTION,
    groups.map(({ tag, members }) => `- ${tag}: ${members.map(link).join(' · ')}`).join('\n'),
    ...groups.flatMap(({ tag, members }) => [`## ${tag}`, ...members.map(operationText)]),
    '## Errors',
    ABOUT_ERRORS,
    table(['status', 'codes'], errorCodes(document)),
    '## Shapes',
    ...Object.entries<Any>(document.components.schemas).flatMap(([name, schema]) => [
      `### ${name}`,
      shapeText(schema),
    ]),
  ];
  return `${parts.join('\n\n')}\n`;
}

const INTRODUCTION = `Every route, as the service describes itself at \`/openapi.json\`; \`/docs\` is the same to try out. JSON in camelCase, times
ISO 8601 in UTC. A key goes into \`Authorization: Bearer tm_…\`; a platform key names the tenant it acts for in
\`X-Tenant-Id\`. Lists are \`{data, nextCursor}\`: pass \`nextCursor\` as \`cursor\` until it is null. Limits: [limits.md](limits.md).
In the examples \`$KEY\` is a key, and \`$ID\` and the like are parts of the path.`;

const ABOUT_ERRORS = `Every refusal is \`application/problem+json\` (RFC 9457) with a \`code\`; faults of a body are listed in \`errors\`, each with
\`index\`, \`pointer\` (JSON Pointer), \`code\` and \`message\`. 503 and 429 carry \`Retry-After\` in seconds: nothing was done,
send it again.`;

const title = ({ method, path }: Any) => `${method.toUpperCase()} ${path}`;

function link(operation: Any): string {
  return `[\`${title(operation)}\`](#${anchorOf(title(operation))})`;
}

/** As GitHub makes them of headings. */
export function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');
}

function operationText(operation: Any): string {
  const { summary, description, parameters = [], requestBody, responses, security } = operation;
  const parts = [`### ${title(operation)}`, `${summary}.${description ? ` ${description}` : ''}`];
  if (!security?.length) parts.push('No key is needed.');
  const named = parameters.filter((parameter: Any) => parameter.name !== 'x-tenant-id');
  if (named.length > 0) {
    parts.push(
      table(
        ['parameter', 'in', 'type', 'meaning'],
        named.map(({ name, in: place, schema, required, description }: Any) => [
          `\`${name}\`${required && place !== 'path' ? ' (required)' : ''}`,
          place,
          `${typeOf(schema)}${limitsOf(schema)}`,
          description ?? schema.description ?? '',
        ]),
      ),
    );
  }
  const bodies = Object.entries<Any>(requestBody?.content ?? {});
  if (bodies.length > 0) {
    parts.push(`Body: ${bodies.map(([type, { schema }]) => `\`${type}\` ${typeOf(schema)}`).join(' · ')}`);
    const inline = bodies.map(([, { schema }]) => schema).find(({ properties }) => properties);
    if (inline) parts.push(shapeText(inline));
  }
  parts.push(exampleText(operation));
  const good = Object.entries<Any>(responses).filter(([status]) => status < '300');
  const bad = Object.keys(responses).filter((status) => status >= '300');
  parts.push(
    good
      .map(([status, { description, content = {} }]) => {
        const types = Object.entries<Any>(content).map(
          ([type, { schema }]) => `\`${type}\` ${typeOf(schema)}`,
        );
        return `- **${status}** ${description}${types.length > 0 ? `: ${types.join(' · ')}` : ''}`;
      })
      .join('\n') + (bad.length > 0 ? `\n- refused with ${bad.join(', ')}: [errors](#errors)` : ''),
  );
  return parts.join('\n\n');
}

/** One curl line, with the first example of the body. */
function exampleText({ method, path, requestBody, security, parameters = [] }: Any): string {
  const url = path.replaceAll(/\{(\w+)\}/g, (_: string, name: string) => `$${name.toUpperCase()}`);
  const lines = [`curl -s ${method === 'get' ? '' : `-X ${method.toUpperCase()} `}"localhost:8080${url}"`];
  if (security?.length) lines.push(`-H "Authorization: Bearer $KEY"`);
  for (const { name, in: place, required } of parameters) {
    if (place === 'header' && required) lines.push(`-H '${name}: …'`);
  }
  const [type, media]: [string, Any] = Object.entries<Any>(requestBody?.content ?? {})[0] ?? ['', null];
  if (media) {
    const example =
      media.example ?? Object.values<Any>(media.examples ?? {})[0]?.value ?? media.schema?.example;
    const body: string = typeof example === 'string' ? example : JSON.stringify(example);
    const present = body.replaceAll(EXAMPLE_TIME, `'"$(date -u +%FT%TZ)"'`);
    lines.push(`-H 'Content-Type: ${type}'`, `-d '${present}'`);
  }
  return `\`\`\`sh\n${lines.join(' \\\n  ')}\n\`\`\``;
}

function errorCodes({ components }: Any): string[][] {
  const codes: ErrorCode[] = components.schemas.Problem.properties.code.enum;
  const statuses = [...new Set(codes.map(statusOf))].sort((a, b) => a - b);
  return statuses.map((status) => [
    String(status),
    codes
      .filter((code) => statusOf(code) === status)
      .map((code) => `\`${code}\``)
      .join(', '),
  ]);
}

/** The fields of a shape, or its type where it has none. */
function shapeText(schema: Any): string {
  const fields = fieldsOf(schema, '');
  const about = schema.description ? `${schema.description}\n\n` : '';
  if (fields.length === 0) return `${about}${typeOf(schema)}`;
  return about + table(['field', 'type', 'meaning'], fields);
}

function fieldsOf(schema: Any, prefix: string): string[][] {
  const required = new Set(schema.required ?? []);
  return Object.entries<Any>(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = `${prefix}${name}`;
    const inner = field.type === 'array' ? field.items : field;
    const within = inner?.properties ? fieldsOf(inner, `${path}${field.type === 'array' ? '[]' : ''}.`) : [];
    const type =
      within.length > 0
        ? field.type === 'array'
          ? 'array of objects'
          : 'object'
        : `${typeOf(field)}${limitsOf(field)}`;
    return [[`\`${path}\`${required.has(name) ? '' : '?'}`, type, field.description ?? ''], ...within];
  });
}

function typeOf(schema: Any): string {
  if (!schema) return '';
  if (schema.$ref) {
    const name = schema.$ref.split('/').at(-1);
    return `[${name}](#${anchorOf(name)})`;
  }
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.enum)
    return schema.enum.length > 12 ? 'string' : schema.enum.map((one: unknown) => `\`${one}\``).join(', ');
  const several = schema.anyOf ?? schema.oneOf;
  if (several) return several.map(typeOf).join(' or ');
  if (schema.allOf) return schema.allOf.map(typeOf).join(' and ');
  if (schema.type === 'array') return `array of ${typeOf(schema.items)}`;
  if (Array.isArray(schema.type)) return schema.type.join(' or ');
  if (schema.type === 'object' && typeof schema.additionalProperties === 'object' && !schema.properties) {
    const { additionalProperties } = schema;
    return `map of ${additionalProperties.properties ? `{${Object.keys(additionalProperties.properties).join(', ')}}` : typeOf(additionalProperties)}`;
  }
  if (schema.type === 'object' && schema.properties) return `{${Object.keys(schema.properties).join(', ')}}`;
  return [schema.type ?? 'any', schema.format && `(${schema.format})`].filter(Boolean).join(' ');
}

function limitsOf(schema: Any): string {
  const { minimum, maximum, maxLength, maxItems } = schema;
  const said = [
    minimum !== undefined && Math.abs(minimum) < 1e15 && `≥ ${minimum}`,
    maximum !== undefined && Math.abs(maximum) < 1e15 && `≤ ${maximum}`,
    maxLength !== undefined && `≤ ${maxLength} characters`,
    maxItems !== undefined && `≤ ${maxItems}`,
    schema.default !== undefined && `default \`${schema.default}\``,
  ].filter(Boolean);
  return said.length > 0 ? `, ${said.join(', ')}` : '';
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll(/\s*\n\s*/g, ' ')).join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(API_PAGE, await renderApiPage());
}
