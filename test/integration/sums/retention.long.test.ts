import { describeColumnstore } from './describeColumnstore.ts';

describeColumnstore({ days: 10, events: 1_500, packed: 200_000 });
