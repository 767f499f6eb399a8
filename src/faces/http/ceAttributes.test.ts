import { describe, expect, it } from 'vitest';
import { decodeHeader } from './ceAttributes.ts';

describe('a ce- header', () => {
  it.each([
    ['plain', 'plain'],
    ['Euro%20%E2%82%AC%20%F0%9F%98%80', 'Euro € 😀'],
    ['%48%65%6C%6c%6F', 'Hello'],
    ['100%', '100%'],
    ['%2541', '%41'],
    ['"quoted \\"text\\" \\\\"', 'quoted "text" \\'],
    ['"%22"', '"'],
    ['"open', '"open'],
    ['', ''],
    ['%C3%28', null],
    ['%ff', null],
    ['\xe9', 'é'],
    ['\xe9%20%E2%82%AC', 'é €'],
    ['\x80', null],
    ['\xe2\x82%AC', null],
    ['\xc3\xa9', 'é'],
  ])('%s is %s', (value, text) => {
    expect(decodeHeader(value)).toBe(text);
  });
});
