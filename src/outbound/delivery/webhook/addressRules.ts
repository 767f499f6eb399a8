import { isIPv4, isIPv6 } from 'node:net';
import { blockList } from '../../../ground/networks.ts';

/*
 * Where webhooks may lead: to public addresses only. IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890),
 * and for IPv6 whatever is not global unicast.
 */

const FORBIDDEN_IPV4 = [
  '0.0.0.0/8', // this network
  '10.0.0.0/8', // private
  '100.64.0.0/10', // carrier-grade NAT
  '127.0.0.0/8', // loopback
  '169.254.0.0/16', // link-local, with the metadata services of clouds
  '172.16.0.0/12', // private
  '192.0.0.0/24', // protocol assignments
  '192.0.2.0/24', // documentation
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16', // private
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, and broadcast
];

/** All that is outside of 2000::/3 is forbidden as well: loopback, ULA, link-local, multicast, NAT64 (64:ff9b::/96). */
const FORBIDDEN_IPV6 = [
  '2001::/23', // protocol assignments, among them Teredo
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4, which carries an IPv4 address
  '3fff::/20', // documentation
];
const GLOBAL_UNICAST = '2000::/3';

const forbidden = { ipv4: blockList(FORBIDDEN_IPV4), ipv6: blockList(FORBIDDEN_IPV6) };
const globalUnicast = blockList([GLOBAL_UNICAST]);
const mapped = blockList(['::ffff:0:0/96']);

/** Tells whether an address may be connected to. */
export type AddressRule = (address: string) => boolean;

/** @param allowedNetworks addresses and CIDR ranges that may be connected to although they are not public. */
export function addressRule(allowedNetworks: readonly string[]): AddressRule {
  const allowed = blockList(allowedNetworks);
  return (address) => {
    const plain = unmapped(address.replace(/%.*$/, ''));
    if (plain === null) return false;
    if (isIPv4(plain)) return allowed.check(plain, 'ipv4') || !forbidden.ipv4.check(plain, 'ipv4');
    if (allowed.check(plain, 'ipv6')) return true;
    return globalUnicast.check(plain, 'ipv6') && !forbidden.ipv6.check(plain, 'ipv6');
  };
}

/** An IPv4 address in IPv6 notation (::ffff:7f00:1) as IPv4, which it is connected to as; null: no address. */
function unmapped(address: string): string | null {
  if (isIPv4(address)) return address;
  if (!isIPv6(address)) return null;
  if (!mapped.check(address, 'ipv6')) return address;
  const { hostname } = new URL(`http://[${address}]`); // in hexadecimal, whichever way it was written
  const [high, low] = hostname
    .slice(1, -1)
    .split(':')
    .slice(-2)
    .map((group) => Number.parseInt(group, 16)) as [number, number];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}
