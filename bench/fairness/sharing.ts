import '../support/exitWithParent.mjs';
import { Batcher, type BatchItem } from '../../src/intake/ingest/batcher.ts';

/*
 * The service with a batcher that takes everybody for one tenant when ONE_FLOW is 1: first come, first served, in
 * batches as large as they get. SHARED_ROWS changes how large batches are while tenants compete. Without both it is the
 * service as it is, so that all run by the same means.
 */

const oneFlow = process.env.ONE_FLOW === '1';
const sharedRows = Number(process.env.SHARED_ROWS ?? 0);
/** Bytes of a batch in proportion to its rows, as the defaults are. */
const ROW_BYTES = 8_388_608 / 5_000;

const { add, check } = Batcher.prototype;
Batcher.prototype.add = function (this: Batcher<BatchItem, unknown>, item: BatchItem) {
  if (sharedRows > 0)
    Object.assign(this, { sharedBatch: { rows: sharedRows, bytes: sharedRows * ROW_BYTES } });
  return add.call(this, oneFlow ? { ...item, flow: 'all' } : item);
};
Batcher.prototype.check = function (this: Batcher<BatchItem, unknown>, flow: string, ...size) {
  check.call(this, oneFlow ? 'all' : flow, ...size);
};

await import('../../src/faces/service/main.ts');
