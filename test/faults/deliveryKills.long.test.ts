import { describeDeliveryKills } from './describeDeliveryKills.ts';

describeDeliveryKills(12_000);
