import { describeBackfillOrders } from './describeBackfillOrders.ts';

describeBackfillOrders(4, 900_000);
