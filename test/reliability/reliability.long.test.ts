import { describeReliability } from './describeReliability.ts';

describeReliability('short');
