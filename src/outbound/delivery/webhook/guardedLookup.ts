import { promises as dns, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { TidemarkError } from '../../../model/errors.ts';
import type { AddressRule } from './addressRules.ts';

/** All addresses of a host name. */
export type Resolve = (hostname: string) => Promise<LookupAddress[]>;

const resolveByDns: Resolve = (hostname) => dns.lookup(hostname, { all: true, verbatim: true });

/**
 * Decides what may be connected to at the moment of connecting: a `lookup` for sockets that hands out only addresses
 * the rule allows. What a name resolved to before, or will later, plays no part (DNS rebinding).
 */
export class GuardedLookup {
  private readonly allows: AddressRule;
  private readonly resolve: Resolve;

  constructor(allows: AddressRule, resolve: Resolve = resolveByDns) {
    this.allows = allows;
    this.resolve = resolve;
  }

  /**
   * The addresses that may be connected to.
   *
   * @throws {TidemarkError} `endpoint_forbidden` when there are addresses, and none may be.
   * @throws what resolving throws.
   */
  async addresses(hostname: string): Promise<LookupAddress[]> {
    const literal = hostname.replace(/^\[(.*)\]$/, '$1');
    const family = isIP(literal);
    const all = family === 0 ? await this.resolve(hostname) : [{ address: literal, family }];
    const allowed = all.filter(({ address }) => this.allows(address));
    if (allowed.length > 0) return allowed;
    throw new TidemarkError(
      'endpoint_forbidden',
      `${hostname} leads to an address that webhooks may not go to`,
    );
  }

  /** For sockets, which do not look up what is an address already: such a URL is to go through `addresses` first. */
  readonly lookup: LookupFunction = (hostname, options, callback) => {
    this.addresses(hostname).then(
      (addresses) => {
        const family = options.family === 4 || options.family === 6 ? options.family : 0;
        const fitting = family === 0 ? addresses : addresses.filter((address) => address.family === family);
        const [first] = fitting;
        if (!first) callback(new Error(`${hostname} has no address of that family`), '', 0);
        else if (options.all) callback(null, fitting);
        else callback(null, first.address, first.family);
      },
      (error) => callback(error, options.all ? [] : '', 0),
    );
  };
}
