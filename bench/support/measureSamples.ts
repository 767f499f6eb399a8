import { conclude } from './conclude.ts';
import { onEachEngine } from './engines.ts';
import { type EngineReport, formatEngine, problemsOf, type Sample, type Wording } from './samples.ts';
import type { BenchServer, Engine } from './servers.ts';
import type { Verdict } from './verdicts.ts';
import { inWorkplace } from './workplace.ts';

/** A room whose figures are samples. */
export interface Room<Of extends Sample> extends Wording<Of> {
  name: string;
  verdictsOf(report: EngineReport<Of>): Verdict[];
}

/** Measures on one engine. @param keep takes what has been measured: it is told and kept, also where what follows fails. */
export type Measure<Of extends Sample> = (
  server: BenchServer,
  keep: (samples: readonly Of[]) => void,
) => Promise<void>;

/**
 * A run of such a room: measures on one engine after the other, says what was found, keeps it.
 *
 * @param begin makes what all engines need, once the folder for it is there.
 */
export async function measureSamples<Of extends Sample>(
  room: Room<Of>,
  options: { engines: Engine[] },
  begin: (folder: string) => Promise<Measure<Of>>,
): Promise<void> {
  const started = new Date();
  const reports: EngineReport<Of>[] = [];
  let isWhole = false;
  try {
    await inWorkplace(async (folder) => {
      const measure = await begin(folder);
      await onEachEngine(options.engines, folder, async (server) => {
        const samples: Of[] = [];
        const report = { engine: server.engine, server: server.description, samples };
        reports.push(report);
        try {
          await measure(server, (found) => samples.push(...found));
        } finally {
          console.log(`\n${formatEngine(report, room, room.verdictsOf(report))}\n`);
        }
      });
    });
    isWhole = true;
  } finally {
    const engines = reports.map((report) => ({ ...report, verdicts: room.verdictsOf(report) }));
    const isValid = reports.every((report) => problemsOf(report).length === 0);
    if (engines.length > 0) await conclude(room.name, started, options, engines, isWhole && isValid);
  }
}
