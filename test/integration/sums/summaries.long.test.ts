import { describeSummaries } from './describeSummaries.ts';

describeSummaries(8);
