import { once } from 'node:events';
import { startChild } from '../support/children.ts';
import { unlessInterrupted } from '../support/interruption.ts';
import type { Meter, Usage } from '../support/processStats.ts';
import type { GeneratorMessage, Leave, Load, LoadReport } from './generator.ts';
import type { Progress } from './series.ts';

/**
 * Runs a load in a generator of its own, and meters others over just the measured time.
 *
 * @param steer told again and again how far a series is; returns the time, in ms since the epoch, up to which it may go.
 */
export async function generate(
  load: Load,
  meter: Meter,
  steer?: (progress: Progress) => number,
): Promise<LoadReport & { usage: Usage }> {
  const generator = startChild(new URL('generator.ts', import.meta.url));
  try {
    let usage: Usage | undefined;
    const report = new Promise<LoadReport>((resolve) => {
      generator.process.on('message', (message: GeneratorMessage) => {
        if (message === 'begin') meter.begin();
        else if (message === 'end') usage = meter.end();
        else if ('progress' in message) {
          const until = steer?.(message.progress);
          // It may have ended meanwhile.
          if (until !== undefined) generator.process.send({ until } satisfies Leave, () => undefined);
        } else resolve(message);
      });
    });
    const died = once(generator.process, 'exit').then(() => {
      throw new Error(`the generator has ended: ${generator.said()}`);
    });
    died.catch(() => undefined);
    generator.process.send(load);
    const result = await unlessInterrupted(Promise.race([report, died]));
    const { otherCores } = usage!;
    return {
      ...result,
      usage: { ...usage!, otherCores: otherCores === null ? null : otherCores - result.cores },
    };
  } finally {
    await generator.stop();
  }
}
