import { isIP } from 'node:net';
import { z } from 'zod';

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** What variables are once they have been checked. */
export type Variables<Shape extends z.ZodRawShape> = z.infer<z.ZodObject<Shape>>;

export const wholeNumber = (min: number, max: number) => z.coerce.number().int().min(min).max(max);

export const truth = z.enum(['true', 'false']).transform((text) => text === 'true');

export const postgresUrl = z.url({ protocol: /^postgres(ql)?$/ });
export const redisUrl = z.url({ protocol: /^rediss?$/ });

/** Names separated by commas, each once. */
export const names = z
  .string()
  .transform((list) => list.split(',').map((name) => name.trim()))
  .refine(
    (list) => list.every((name) => name !== '') && new Set(list).size === list.length,
    'takes names, each once, separated by commas',
  );

/** Addresses and CIDR ranges, separated by commas. */
export const addresses = z
  .string()
  .transform((list) => list.split(',').map((entry) => entry.trim()))
  .refine((list) => list.every(isAddressRange), 'takes IP addresses and CIDR ranges, separated by commas');

function isAddressRange(entry: string): boolean {
  const [, address = '', prefix] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(entry) ?? [];
  const version = isIP(address);
  return version !== 0 && Number(prefix ?? 0) <= (version === 4 ? 32 : 128);
}

/** Origins as browsers write them, so that they can be compared as text: `https://console.example.com`. */
export const origins = z
  .string()
  .transform((text) => text.split(',').map((origin) => origin.trim()))
  .refine(
    (list) =>
      list.every(
        (origin) => /^https?:/.test(origin) && URL.canParse(origin) && new URL(origin).origin === origin,
      ),
    'takes origins like https://console.example.com, separated by commas; no wildcard, no path',
  );
