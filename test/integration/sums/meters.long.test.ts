import { describeMeters } from './describeMeters.ts';

describeMeters(12, 150);
