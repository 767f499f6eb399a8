import { describeBackfillOrders } from './describeBackfillOrders.ts';

describeBackfillOrders(3, 300_000);
