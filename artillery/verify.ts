import { setTimeout as sleep } from 'node:timers/promises';
import { type Difference, differences, revisionFaults } from './compare.ts';
import { type CustomerCounts, type Lists, readCustomer } from './counted.ts';
import type { Ledger, Windows } from './ledger.ts';
import { add, noSums, type Sums } from './sums.ts';

const WINDOW_MS = 30_000;
const AT_A_TIME = 8;
const POLL_MS = 1_000;
/** A window closes within seconds of its end; after a run that left the closer behind it may take longer. */
const CLOSING_TIMEOUT_MS = 120_000;

/** What the service counts at one time, and where it is not what was acknowledged. */
export interface Verified {
  customers: number;
  windows: { open: number; closed: number; revised: number };
  /** Of the raw events. */
  counted: Sums;
  differences: Difference[];
}

/**
 * Compares each customer of a run, on every path and in each bucket.
 *
 * @throws {Error} when the service does not answer.
 */
export async function verify(client: Lists, ledger: Ledger): Promise<Verified> {
  const verified: Verified = {
    customers: 0,
    windows: { open: 0, closed: 0, revised: 0 },
    counted: noSums(),
    differences: [],
  };
  const customers = [...ledger.customers];
  const work = async () => {
    for (let next = customers.pop(); next; next = customers.pop()) {
      const [customer, windows] = next;
      const { from, to } = rangeOf(windows);
      include(verified, customer, windows, await readCustomer(client, customer, from, to));
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return verified;
}

/**
 * Waits until every window of a run has closed.
 *
 * @returns whether that came to pass.
 */
export async function untilClosed(client: Lists, ledger: Ledger): Promise<boolean> {
  let newest = 0;
  let customer = '';
  for (const [name, windows] of ledger.customers) {
    const { to } = rangeOf(windows);
    if (to > newest) [newest, customer] = [to, name];
  }
  const last = new Date(newest - WINDOW_MS).toISOString();
  const path = `/v1/windows?customerId=${encodeURIComponent(customer)}&from=${last}&state=closed`;
  await sleep(Math.max(0, newest - Date.now()));
  for (const deadline = Date.now() + CLOSING_TIMEOUT_MS; Date.now() < deadline; await sleep(POLL_MS)) {
    if ((await client.list(path)).length > 0) return true;
  }
  return false;
}

function include(
  verified: Verified,
  customer: string,
  windows: Windows,
  { counts, windows: states }: CustomerCounts,
): void {
  verified.customers++;
  for (const { state } of states.values()) verified.windows[state]++;
  for (const counted of counts) {
    verified.differences.push(...differences(customer, windows, counted));
    if (counted.source === 'events') for (const sums of counted.buckets.values()) add(verified.counted, sums);
  }
  verified.differences.push(...revisionFaults(customer, windows, states));
}

/** From the first window to the end of the last, ms. */
function rangeOf(windows: Windows): { from: number; to: number } {
  const starts = [...windows.keys()].sort((a, b) => a - b);
  return { from: starts[0]!, to: starts.at(-1)! + WINDOW_MS };
}
