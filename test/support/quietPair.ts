import { CLOSED_BY_HAND } from './closing.ts';
import { startServiceOn, startTestService, type TestService } from './service.ts';
import { UpkeepByHand } from './upkeepByHand.ts';

/** Two instances of a database, which neither close windows nor keep meters by themselves. */
export interface QuietPair {
  t: TestService;
  other: TestService;
  upkeep: UpkeepByHand;
  stop(): Promise<void>;
}

export async function startQuietPair(): Promise<QuietPair> {
  const quiet = { ...CLOSED_BY_HAND, CLOSER_INTERVAL_MS: '60000' };
  const t = await startTestService(quiet);
  const other = await startServiceOn(t.database, quiet);
  const upkeep = await UpkeepByHand.begin(t.database, t.sql);
  return {
    t,
    other,
    upkeep,
    async stop() {
      await upkeep.end();
      await other.service.close();
      await other.sql.end();
      await t.stop();
    },
  };
}
