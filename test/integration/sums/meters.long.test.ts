import { describeMeters } from './describeMeters.ts';

describeMeters(5, 100);
