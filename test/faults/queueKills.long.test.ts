import { describeQueueKills } from './describeQueueKills.ts';

describeQueueKills(8);
