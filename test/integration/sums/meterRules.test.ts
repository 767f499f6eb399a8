import { describeMeterRules } from './describeMeterRules.ts';

describeMeterRules(100);
