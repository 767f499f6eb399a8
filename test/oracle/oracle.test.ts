import { describeOracle } from './describeOracle.ts';

describeOracle(3);
