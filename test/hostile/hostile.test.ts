import { describeHostile } from './describeHostile.ts';

describeHostile({ requests: 600, slowSockets: 100 });
