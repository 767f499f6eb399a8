import { describeActivity } from './describeActivity.ts';

describeActivity(10);
