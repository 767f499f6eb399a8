import { type Effort, readJournal } from './journal.ts';
import { Ledger } from './ledger.ts';
import { Pace } from './pace.ts';

/** What the journal of a run says. */
export interface Run {
  ledger: Ledger;
  /** New events that were sent, and events that were accepted, over time. */
  posted: Pace;
  acknowledged: Pace;
  misread: string[];
  generator: { cores: number | null; longestDelayMs: number };
}

export async function readRun(journal: string): Promise<Run> {
  const run = { ledger: new Ledger(), posted: new Pace(), acknowledged: new Pace() };
  const misread: string[] = [];
  const efforts: Effort[] = [];
  for await (const line of readJournal(journal)) {
    if (line.line === 'effort') efforts.push(line);
    else if (line.line === 'misread') misread.push(...line.faults);
    else {
      run.ledger.add(line);
      if (line.line === 'posted') {
        for (const [, { calls }] of line.fresh) run.posted.add(line.at, calls);
      } else if (line.status === 200) run.acknowledged.add(line.at, line.accepted);
    }
  }
  return { ...run, misread, generator: effortOf(efforts) };
}

/** All threads of Artillery are in one process, which each of them reports of. */
function effortOf(efforts: Effort[]): Run['generator'] {
  const longestDelayMs = efforts.reduce((longest, { delayMs }) => Math.max(longest, delayMs), 0);
  efforts.sort((a, b) => a.at - b.at);
  const [first, last] = [efforts[0], efforts.at(-1)];
  const cores =
    first && last && last.at > first.at ? (last.cpuMs - first.cpuMs) / (last.at - first.at) : null;
  return { cores, longestDelayMs };
}
