import { describeDeliveryKills } from './describeDeliveryKills.ts';

describeDeliveryKills(4_000);
