import { isIP } from 'node:net';
import { describe, expect, it } from 'vitest';
import { addressRule } from './addressRules.ts';

const FORBIDDEN = [
  ...[
    '0.0.0.0',
    '0.1.2.3',
    '10.0.0.1',
    '10.255.255.255',
    '100.64.0.1',
    '100.127.255.254',
    '127.0.0.1',
    '127.9.9.9',
  ],
  ...[
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.0.0.1',
    '192.0.2.1',
    '192.88.99.1',
    '192.168.1.1',
  ],
  ...[
    '198.18.0.1',
    '198.19.255.255',
    '198.51.100.7',
    '203.0.113.9',
    '224.0.0.1',
    '239.255.255.255',
    '240.0.0.1',
  ],
  '255.255.255.255',
  ...['::', '::1', '0:0:0:0:0:0:0:1', '::127.0.0.1', 'fe80::1', 'fe80::1%eth0', 'febf::1', 'fec0::1'],
  ...['fc00::1', 'fd12:3456::1', 'ff02::1', '64:ff9b::7f00:1', '64:ff9b::8.8.8.8', '64:ff9b:1::1', '100::1'],
  ...['2001::1', '2001:db8::1', '2002:7f00:1::1', '2002:808:808::1', '3fff::1', '4000::1', '5f00::1'],
  ...[
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::FFFF:10.0.0.1',
    '0:0:0:0:0:ffff:c0a8:101',
    '::ffff:169.254.169.254',
  ],
  ...[
    '::ffff:0:127.0.0.1',
    '',
    'localhost',
    '127.1',
    '2130706433',
    '0x7f000001',
    '017700000001',
    '1.2.3',
    '1.2.3.4.5',
  ],
];
const ALLOWED = [
  ...[
    '1.1.1.1',
    '8.8.8.8',
    '9.255.255.255',
    '11.0.0.1',
    '100.63.255.255',
    '100.128.0.0',
    '126.255.255.255',
    '128.0.0.1',
  ],
  ...[
    '172.15.255.255',
    '172.32.0.0',
    '192.167.255.255',
    '192.169.0.0',
    '198.17.255.255',
    '198.20.0.0',
    '223.255.255.255',
  ],
  ...[
    '2606:4700:4700::1111',
    '2a00:1450:4001::1',
    '2001:4860:4860::8888',
    '::ffff:8.8.8.8',
    '::ffff:808:808',
  ],
];

describe('webhooks', () => {
  const allows = addressRule([]);
  it.each(FORBIDDEN)('do not go to "%s"', (address) => expect(allows(address)).toBe(false));
  it.each(ALLOWED)('go to %s', (address) => expect(allows(address)).toBe(true));

  it('go where the configuration allows it, in either notation, and nowhere else', () => {
    const some = addressRule(['10.1.0.0/16', '127.0.0.1', 'fd00::/8', '64:ff9b::/96']);
    for (const address of [
      '10.1.2.3',
      '::ffff:10.1.2.3',
      '127.0.0.1',
      'fd12::1',
      '64:ff9b::808:808',
      '8.8.8.8',
    ]) {
      expect([address, some(address)]).toEqual([address, true]);
    }
    for (const address of ['10.2.0.1', '127.0.0.2', '::1', 'fc00::1', '169.254.169.254', '::ffff:10.2.0.1']) {
      expect([address, some(address)]).toEqual([address, false]);
    }
  });

  it('meet every way to write an address in a URL as what it is', () => {
    const written = [
      ...[
        '127.0.0.1',
        '127.1',
        '2130706433',
        '0x7f000001',
        '0x7f.1',
        '017700000001',
        '0177.0.0.1',
        '127.0.0.1.',
      ],
      ...[
        '%31%32%37.0.0.1',
        '①②⑦.0.0.1',
        '127。0。0。1',
        '[::1]',
        '[::]',
        '[::ffff:127.0.0.1]',
        '[0:0::ffff:7f00:1]',
      ],
      ...['[::127.0.0.1]', '0', '0.0.0.0', '[64:ff9b::127.0.0.1]', '[fe80::1]'],
    ];
    for (const host of written) {
      const { hostname } = new URL(`http://${host}/`);
      const literal = hostname.replace(/^\[(.*)\]$/, '$1');
      expect([host, isIP(literal) !== 0, allows(literal)]).toEqual([host, true, false]);
    }
  });
});
