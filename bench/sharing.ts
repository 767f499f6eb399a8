import './exitWithParent.mjs';
import { Batcher, type BatchItem } from '../src/ingest/batcher.ts';

/*
 * The service with a batcher that takes everybody for one tenant when ONE_FLOW is 1: first come, first served, in
 * batches as large as they get. With 0 it is the service as it is, so that both run by the same means.
 */

if (process.env.ONE_FLOW === '1') {
  const { add, check } = Batcher.prototype;
  Batcher.prototype.add = function (this: Batcher<BatchItem, unknown>, item: BatchItem) {
    return add.call(this, { ...item, flow: 'all' });
  };
  Batcher.prototype.check = function (this: Batcher<BatchItem, unknown>, _flow: string, ...size) {
    check.call(this, 'all', ...size);
  };
}

await import('../src/main.ts');
