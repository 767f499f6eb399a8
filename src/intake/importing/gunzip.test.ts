import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StartupError } from '../../model/errors.ts';
import { gunzip } from './gunzip.ts';

async function* chunksOf(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(bytes: Buffer, size = 262_144) {
  const parts: Buffer[] = [];
  let trailing = 0;
  let error: unknown = null;
  try {
    const content = gunzip(chunksOf(bytes, size), (count) => {
      trailing = count;
    });
    for await (const part of content) parts.push(part);
  } catch (thrown) {
    error = thrown;
  }
  return { content: Buffer.concat(parts), trailing, error };
}

const text = Buffer.from(Array.from({ length: 3_000 }, (_, i) => `${i},${(i * 7_919) % 1_013}\n`).join(''));
const whole = gzipSync(text);
const SIZES = [1, 7, 1_000, whole.length - 8, whole.length, whole.length + 3, 10_000_000];

test('a member, cut into chunks anywhere', async () => {
  for (const size of SIZES) {
    const { content, trailing, error } = await read(whole, size);
    expect({ same: content.equals(text), trailing, error }).toEqual({ same: true, trailing: 0, error: null });
  }
});

test('bytes behind the end cost nothing, and are told of; zeros are not', async () => {
  for (const size of SIZES) {
    for (const [tail, told] of [
      [Buffer.from('tail'), 4],
      [Buffer.from([0x1f]), 1],
      [Buffer.from('\0\0\0x'), 1],
      [Buffer.alloc(700), 0],
      [Buffer.from('x'.repeat(3_000)), 3_000],
    ] as const) {
      const { content, trailing, error } = await read(Buffer.concat([whole, tail]), size);
      expect({ same: content.equals(text), trailing, error }).toEqual({
        same: true,
        trailing: told,
        error: null,
      });
    }
  }
});

test('several members, an empty one and padding among them', async () => {
  const file = Buffer.concat([whole, gzipSync(''), Buffer.alloc(5), gzipSync('last\n')]);
  for (const size of SIZES) {
    const { content, error } = await read(file, size);
    expect({ same: content.equals(Buffer.concat([text, Buffer.from('last\n')])), error }).toEqual({
      same: true,
      error: null,
    });
  }
});

test('header fields are passed over: extra, name, comment, checksum', async () => {
  const header = Buffer.concat([
    Buffer.from([0x1f, 0x8b, 8, 2 | 4 | 8 | 16, 0, 0, 0, 0, 0, 3, 3, 0]),
    Buffer.from('abcname\0a comment\0'),
    Buffer.from([0, 0]),
  ]);
  for (const size of [1, 1_000_000]) {
    const { content, error } = await read(Buffer.concat([header, whole.subarray(10)]), size);
    expect({ same: content.equals(text), error }).toEqual({ same: true, error: null });
  }
});

test('one that ends too early hands out what there is', async () => {
  for (const size of [1_000, 10_000_000]) {
    for (const cut of [5, 10, 2_000, whole.length - 9, whole.length - 8, whole.length - 1]) {
      const { content, error } = await read(whole.subarray(0, cut), size);
      expect(error).toBeInstanceOf(StartupError);
      expect((error as Error).message).toBe('unexpected end of file');
      expect(text.subarray(0, content.length).equals(content)).toBe(true);
      if (cut === 2_000) expect(content.length).toBeGreaterThan(2_000);
      if (cut >= whole.length - 8) expect(content.length).toBe(text.length);
    }
  }
});

test('damage is told: in the data, the checksum, the length, the header of a further member', async () => {
  const changed = (at: number) => {
    const bytes = Buffer.from(whole);
    bytes[at]! ^= 0xff;
    return bytes;
  };
  for (const at of [2, Math.floor(whole.length / 2), whole.length - 8, whole.length - 1]) {
    const { error } = await read(changed(at));
    expect(error).toBeInstanceOf(StartupError);
    expect((error as Error).message).toContain('the gzip data are damaged');
  }
  const { content, error } = await read(
    Buffer.concat([whole, Buffer.from([0x1f, 0x8b, 9, ...Buffer.alloc(9)])]),
  );
  expect(content.equals(text)).toBe(true);
  expect((error as Error).message).toContain('damaged: unknown method 9');
});

test('what only begins like gzip is damaged', async () => {
  for (const size of [1, 1_000]) {
    const { content, error } = await read(Buffer.from('\x1f\x8b\x08 and something else', 'latin1'), size);
    expect(content).toHaveLength(0);
    expect((error as Error).message).toContain('the gzip data are damaged');
  }
});

test('whatever is written as gzip is read as Node reads it', async () => {
  const member = fc.record({
    data: fc.uint8Array({ maxLength: 2_000 }),
    level: fc.integer({ min: 0, max: 9 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(member, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 300 }),
      async (members, size) => {
        const file = Buffer.concat(members.map(({ data, level }) => gzipSync(data, { level })));
        const { content, error } = await read(file, size);
        expect({ content: content.toString('hex'), error }).toEqual({
          content: gunzipSync(file).toString('hex'),
          error: null,
        });
      },
    ),
  );
});
