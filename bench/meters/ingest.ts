import { type Members, TENANT } from '../load/workload.ts';
import type { Build } from '../services/build.ts';
import { measureTidemark, type ServiceVariant } from '../services/httpServices.ts';
import { MeterCalls } from '../services/meterCalls.ts';
import { costsOf } from '../support/costs.ts';
import type { BenchServer } from '../support/servers.ts';
import { FIVE_METERS, SERIES } from './definitions.ts';
import { checkMetered } from './metered.ts';
import type { Options } from './options.ts';
import type { MeterSample } from './sample.ts';

/** What is sent: the usual events, or those with members in their metadata that meters can read. */
export type Sent = 'usual events' | `metadata, dimensions ${Members}`;

/** A measurement: which build takes what, with meters or without. */
export interface IngestCase {
  sent: Sent;
  members: Members | undefined;
  build: Build;
  metered: boolean;
}

/** Who is set against whom, in one round. */
export function ingestCases(earlier: Build, present: Build): IngestCase[] {
  const usual = { sent: 'usual events' as const, members: undefined };
  const mixed = { sent: 'metadata, dimensions mixed' as const, members: 'mixed' as const };
  const own = { sent: 'metadata, dimensions of customers' as const, members: 'of customers' as const };
  return [
    { ...usual, build: earlier, metered: false },
    { ...usual, build: present, metered: false },
    { ...own, build: earlier, metered: false },
    { ...own, build: present, metered: false },
    { ...own, build: present, metered: true },
    { ...mixed, build: present, metered: false },
    { ...mixed, build: present, metered: true },
  ];
}

/** Events/s in batches, with all counts. */
export async function measureIngest(
  server: BenchServer,
  { sent, members, build, metered }: IngestCase,
  options: Options,
  folder: string,
): Promise<MeterSample> {
  const variant: ServiceVariant = {
    module: build.service,
    ownSchema: true,
    kind: { members },
    ...(metered && {
      begin: async (service) => {
        const calls = new MeterCalls(service, TENANT);
        for (const meter of FIVE_METERS) await calls.create(meter);
        await calls.filled(FIVE_METERS.map(({ slug }) => slug));
      },
      check: (client) => checkMetered(client, SERIES),
    }),
  };
  const { durationMs, warmupMs } = options;
  const measured = await measureTidemark(server, 'batches', { durationMs, warmupMs }, folder, variant);
  const { eventsPerSecond, usage, generatorCores, problems } = measured;
  return {
    row: 'ingest',
    variant: sent,
    who: metered ? 'five meters' : build.who,
    value: eventsPerSecond,
    unit: 'events/s',
    ...costsOf({ ...usage, generatorCores }, eventsPerSecond),
    problems,
  };
}
