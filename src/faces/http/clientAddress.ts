import { type BlockList, isIP, isIPv4, isIPv6 } from 'node:net';
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import { requestHeader } from './nodeHttp.ts';

/**
 * Where a request comes from: the address of its socket, or where that is a trusted proxy the right-most address of
 * X-Forwarded-For that is not one. What stands left of it anybody may have written.
 *
 * @returns null without a socket.
 */
export function clientAddress(c: Context, trusted: BlockList): string | null {
  const { incoming } = (c.env ?? {}) as Partial<HttpBindings>;
  let address = plainAddress(incoming?.socket?.remoteAddress ?? '');
  if (address === null || !isTrusted(address, trusted)) return address;
  const forwarded = (requestHeader(c, 'x-forwarded-for') ?? '').split(',');
  for (const hop of forwarded.reverse()) {
    const before = plainAddress(hop.trim());
    if (before === null) return address;
    address = before;
    if (!isTrusted(address, trusted)) return address;
  }
  return address;
}

/**
 * What wrong keys are counted for: an IPv4 address, or the /64 of an IPv6 address, of which one client commands the
 * whole.
 */
export function countedAddress(address: string | null): string {
  if (address === null) return 'unknown';
  if (!isIPv6(address)) return address;
  const [head, tail] = address.split('::') as [string, string | undefined];
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? 0 : tail.split(':').length + (tail.includes('.') ? 1 : 0);
    while (groups.length + after < 8) groups.push('0');
    groups.push(...tail.split(':'));
  }
  const network = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(':')}::/64`;
}

function isTrusted(address: string, trusted: BlockList): boolean {
  return trusted.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}

/** Without port, brackets and zone, and IPv4 as IPv4 also where the socket is one of IPv6; null: no address. */
function plainAddress(text: string): string | null {
  const [, bracketed, v4] = /^(?:\[([^\]]*)\](?::\d+)?|(\d+(?:\.\d+){3}):\d+)$/.exec(text) ?? [];
  const address = (bracketed ?? v4 ?? text).replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '');
  return isIP(address) === 0 ? null : address;
}
