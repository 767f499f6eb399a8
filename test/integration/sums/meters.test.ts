import { describeMeters } from './describeMeters.ts';

describeMeters(2, 25);
