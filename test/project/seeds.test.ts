import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { readSeedSchema, renderSeedSchema, SEED_SCHEMAS } from '../../docs/tools/seedSchemas.ts';
import { SEEDS } from '../../src/faces/seeds/readSeeds.ts';
import { SEED_FILES, type SeedFile } from '../../src/faces/seeds/seedFiles.ts';
import { readMarkdown } from '../support/markdown.ts';

// biome-ignore lint/suspicious/noExplicitAny: a JSON Schema
type Schema = any;

/** Every field that a schema knows, as README writes it: `tenants[].id`. */
function fieldsOf(schema: Schema, path = ''): string[] {
  const variants: Schema[] = schema.oneOf ?? schema.anyOf ?? [];
  const own = Object.entries<Schema>(schema.properties ?? {}).flatMap(([name, inner]) => {
    const field = path === '' ? name : `${path}.${name}`;
    const below = inner.items ? fieldsOf(inner.items, `${field}[]`) : fieldsOf(inner, field);
    return below.length > 0 ? below : [field];
  });
  return [...own, ...variants.flatMap((variant) => fieldsOf(variant, path))];
}

describe.each(SEED_SCHEMAS)('seeds/$file', ({ file, path }) => {
  it('has a JSON Schema that is up to date', async () => {
    expect(await readSeedSchema(path), 'it is out of date: npm run docs:seeds').toEqual(
      renderSeedSchema(file),
    );
  });

  it('is as that schema says, and names it', async () => {
    const json = JSON.parse(await readFile(join(SEEDS, file), 'utf8'));
    expect(join(SEEDS, json.$schema)).toBe(path);
    const schema = z.fromJSONSchema((await readSeedSchema(path)) as Parameters<typeof z.fromJSONSchema>[0]);
    expect(schema.safeParse(json).error?.issues ?? []).toEqual([]);
    expect(SEED_FILES[file].safeParse(json).error?.issues ?? []).toEqual([]);
    // It is a schema that something can be wrong by.
    expect(schema.safeParse({ ...json, colour: 'red' }).success).toBe(false);
    const [list] = Object.keys(json).filter((key) => Array.isArray(json[key]));
    const spoilt = { ...json, [list!]: [{ ...json[list!][0], colour: 'red' }] };
    expect(schema.safeParse(spoilt).success).toBe(false);
  });

  it('has every field of it in seeds/README.md, and no other', async () => {
    const page = await readMarkdown('seeds/README.md');
    const section = page.split(/^## /m).find((part) => part.startsWith(file))!;
    const written = [...section.matchAll(/^\| ((?:`[^`]+`(?:, )?)+) \|/gm)].flatMap(([, cell]) =>
      [...cell!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!),
    );
    const fields = fieldsOf(renderSeedSchema(file as SeedFile)).filter((field) => field !== '$schema');
    // A distribution is one field on the page.
    const known = new Set(fields.map((field) => field.replace(/\.(median|sigma)$/, '')));
    expect(written.toSorted()).toEqual([...known].sort());
  });
});
