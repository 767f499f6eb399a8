import { freePort } from '../../src/ground/local/freePort.ts';

/**
 * A free port for a server that goes and comes back: below the range from which the system takes the ports of outgoing
 * connections, one of which could otherwise have it meanwhile, or even connect to itself.
 */
export function stablePort(): Promise<number> {
  return freePort(...Array.from({ length: 20 }, () => 20_000 + Math.floor(Math.random() * 12_000)));
}
