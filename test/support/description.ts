import type { TestService } from './service.ts';

/** One route as /openapi.json describes it. */
export interface Operation {
  id: string;
  /** In capitals. */
  method: string;
  /** With its placeholders: `/v1/tenants/{id}`. */
  path: string;
  /** Whether it asks for a key. */
  secured: boolean;
  parameters: { name: string; in: 'query' | 'header' | 'path'; required?: boolean }[];
  /** Every example of a request body. */
  examples: { contentType: string; value: unknown }[];
  hasBody: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: JSON Schema
  responses: Record<string, { content?: Record<string, { schema: any }> }>;
}

export interface Description {
  // biome-ignore lint/suspicious/noExplicitAny: an OpenAPI document
  document: any;
  /** In the order of the document. */
  operations: Operation[];
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

/** What the service says of itself: tests that walk it cover routes that are added later. */
export async function readDescription(t: Pick<TestService, 'call'>): Promise<Description> {
  const { body: document } = await t.call('GET', '/openapi.json', { key: null });
  const operations: Operation[] = [];
  for (const [path, item] of Object.entries<Record<string, unknown>>(document.paths)) {
    for (const method of METHODS.filter((name) => name in item)) {
      // biome-ignore lint/suspicious/noExplicitAny: an OpenAPI operation
      const operation = item[method] as any;
      operations.push({
        id: operation.operationId,
        method: method.toUpperCase(),
        path,
        secured: (operation.security ?? []).length > 0,
        parameters: operation.parameters ?? [],
        examples: Object.entries(operation.requestBody?.content ?? {}).flatMap(examplesOf),
        hasBody: operation.requestBody !== undefined,
        responses: operation.responses,
      });
    }
  }
  return { document, operations };
}

// biome-ignore lint/suspicious/noExplicitAny: an OpenAPI media type
function examplesOf([contentType, media]: [string, any]): Operation['examples'] {
  const values = [
    ...(media.example === undefined ? [] : [media.example]),
    ...Object.values<{ value: unknown }>(media.examples ?? {}).map(({ value }) => value),
    ...(media.schema?.example === undefined ? [] : [media.schema.example]),
  ];
  return values.map((value) => ({ contentType, value }));
}
