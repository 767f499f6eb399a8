import type { Context } from 'hono';
import { describe, expect, it } from 'vitest';
import { blockList } from '../../ground/networks.ts';
import { clientAddress, countedAddress } from './clientAddress.ts';

const trusted = blockList(['10.0.0.0/8', '192.0.2.1', 'fd00::/8', '::1']);

function from(remoteAddress: string | undefined, forwarded?: string): string | null {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  return clientAddress({ env: { incoming: { socket: { remoteAddress }, headers } } } as Context, trusted);
}

describe('the client address', () => {
  it.each([
    ['203.0.113.9', undefined, '203.0.113.9'],
    ['203.0.113.9', '198.51.100.1', '203.0.113.9'], // no proxy of ours: its word is not taken
    ['10.1.2.3', undefined, '10.1.2.3'],
    ['10.1.2.3', '', '10.1.2.3'],
    ['10.1.2.3', '198.51.100.1', '198.51.100.1'],
    ['10.1.2.3', '1.1.1.1, 198.51.100.1', '198.51.100.1'],
    ['10.1.2.3', '1.1.1.1,198.51.100.1 , 192.0.2.1,10.9.9.9', '198.51.100.1'],
    ['10.1.2.3', '10.5.5.5, 192.0.2.1', '10.5.5.5'], // all ours: the first of them
    ['::ffff:10.1.2.3', '198.51.100.1', '198.51.100.1'],
    ['::ffff:203.0.113.9', '198.51.100.1', '203.0.113.9'],
    ['10.1.2.3', '::ffff:198.51.100.1', '198.51.100.1'],
    ['10.1.2.3', '198.51.100.1:4711', '198.51.100.1'],
    ['10.1.2.3', '[2001:db8::1]:4711', '2001:db8::1'],
    ['::1', '2001:db8::1', '2001:db8::1'],
    ['fd00::7', '[2001:db8::1]', '2001:db8::1'],
    ['fe80::1%eth0', undefined, 'fe80::1'],
    ['10.1.2.3', '198.51.100.1, unknown', '10.1.2.3'],
    ['10.1.2.3', '198.51.100.1, _hidden, 10.9.9.9', '10.9.9.9'],
    ['10.1.2.3', ',,,', '10.1.2.3'],
    ['10.1.2.3', '1.2.3.4.5', '10.1.2.3'],
    [undefined, '198.51.100.1', null],
  ])('of %s with "%s" is %s', (remote, forwarded, expected) => {
    expect(from(remote, forwarded)).toBe(expected);
  });

  it('is not there without a socket', () => {
    expect(clientAddress({ env: undefined } as unknown as Context, trusted)).toBeNull();
  });
});

it.each([
  ['203.0.113.9', '203.0.113.9'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0db8:0001:0002::', '2001:db8:1:2::/64'],
  ['2001:DB8:1:2::ffff', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:db8:0:1::1', '2001:db8:0:1::/64'],
  ['::1', '0:0:0:0::/64'],
  ['::', '0:0:0:0::/64'],
  ['1::2:3:4:5:6:7', '1:0:2:3::/64'],
  ['64:ff9b::192.0.2.33', '64:ff9b:0:0::/64'],
  ['1:2:3:4:5:6:192.0.2.33', '1:2:3:4::/64'],
  ['::2:3:4:5:6:192.0.2.33', '0:2:3:4::/64'],
  [null, 'unknown'],
])('wrong keys of %s are counted for %s', (address, expected) => {
  expect(countedAddress(address)).toBe(expected);
});
