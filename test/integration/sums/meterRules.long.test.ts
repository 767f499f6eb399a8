import { describeMeterRules } from './describeMeterRules.ts';

describeMeterRules(2_000);
