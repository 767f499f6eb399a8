import { describeHotCounter } from './describeHotCounter.ts';

describeHotCounter(10_000);
