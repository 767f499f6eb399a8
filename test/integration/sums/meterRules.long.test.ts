import { describeMeterRules } from './describeMeterRules.ts';

describeMeterRules(600);
