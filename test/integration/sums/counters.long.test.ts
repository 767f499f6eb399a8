import { describeHotCounter } from './describeHotCounter.ts';

describeHotCounter(5_000);
