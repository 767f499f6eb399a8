import { describeHostile } from './describeHostile.ts';

describeHostile({ requests: 3_000, slowSockets: 1_000 });
