import { describeCorrections } from './describeCorrections.ts';

describeCorrections(8);
