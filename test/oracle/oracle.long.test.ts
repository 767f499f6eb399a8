import { inject } from 'vitest';
import { describeOracle } from './describeOracle.ts';

/** 200, shared by the engines there are. */
describeOracle(inject('timescaleUrl') === null ? 200 : 100);
