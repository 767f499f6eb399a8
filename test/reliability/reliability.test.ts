import { describeReliability } from './describeReliability.ts';

describeReliability('once');
