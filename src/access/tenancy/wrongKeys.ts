import { Counter, type Registry } from 'prom-client';
import { RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible';
import { TidemarkError } from '../../model/errors.ts';

/** Addresses remembered at most; the one whose last wrong key is longest ago goes first. */
const MAX_ADDRESSES = 10_000;
const WINDOW_S = 60;
/** How often a slowed address may have a key looked up that has not been seen before, in s. */
const TRICKLE_S = 5;

/**
 * Counts the wrong keys of each client address, and slows down an address that shows many. In memory: each instance
 * counts for itself.
 */
export class WrongKeys {
  private readonly counts: RateLimiterMemory;
  private readonly trickle = new RateLimiterMemory({ points: 1, duration: TRICKLE_S });
  /** The limiters have no bound of their own. */
  private readonly addresses = new Set<string>();
  private readonly capacity: number;
  private readonly wrong: Counter;
  private readonly slowed: Counter;

  constructor(perMinute: number, registry: Registry, capacity = MAX_ADDRESSES) {
    const registers = [registry];
    this.wrong = new Counter({
      name: 'tidemark_wrong_keys_total',
      help: 'Requests with a key that is not known',
      registers,
    });
    this.slowed = new Counter({
      name: 'tidemark_slowed_requests_total',
      help: 'Requests refused because their address had shown too many wrong keys',
      registers,
    });
    this.counts = new RateLimiterMemory({ points: perMinute, duration: WINDOW_S });
    this.capacity = capacity;
  }

  /**
   * Whether a key that is not known to be good may be looked up: freely, or because it is the address's turn.
   *
   * @throws {TidemarkError} `too_many_requests`.
   */
  async admit(address: string): Promise<'freely' | 'in turn'> {
    const counted = await this.counts.get(address);
    if (counted === null || counted.msBeforeNext <= 0 || counted.consumedPoints < this.counts.points) {
      return 'freely';
    }
    try {
      await this.trickle.consume(address);
      return 'in turn';
    } catch (refusal) {
      this.slowed.inc();
      const { msBeforeNext } = refusal as RateLimiterRes;
      throw new TidemarkError(
        'too_many_requests',
        'too many wrong keys from this address; wait, and try again',
        {
          retryAfterSeconds: Math.max(1, Math.ceil(msBeforeNext / 1_000)),
        },
      );
    }
  }

  /** Counts a wrong key. */
  async note(address: string): Promise<void> {
    this.wrong.inc();
    await this.counts.penalty(address);
    this.addresses.delete(address);
    this.addresses.add(address);
    if (this.addresses.size <= this.capacity) return;
    const oldest: string = this.addresses.keys().next().value!;
    this.addresses.delete(oldest);
    await Promise.all([this.counts.delete(oldest), this.trickle.delete(oldest)]);
  }
}
