import { describeKilledIncrements } from './describeKilledIncrements.ts';

describeKilledIncrements(40);
