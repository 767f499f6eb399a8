import { describeKilledBackends } from './describeKilledBackends.ts';

describeKilledBackends(50);
