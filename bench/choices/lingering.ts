import '../support/exitWithParent.mjs';
import { Batcher, type BatchItem } from '../../src/intake/ingest/batcher.ts';

/*
 * The service with a group commit that waits: items reach the queue together, LINGER_MS after the first of them, or
 * as soon as they fill a batch. With 0 it is the service as it is, so that both run by the same means.
 */

const lingerMs = Number(process.env.LINGER_MS);
const BATCH_ROWS = 5_000;

if (lingerMs > 0) {
  const add = Batcher.prototype.add;
  let waiting: (() => void)[] = [];
  let rows = 0;
  let timer: NodeJS.Timeout | undefined;
  const release = () => {
    clearTimeout(timer);
    timer = undefined;
    const items = waiting;
    waiting = [];
    rows = 0;
    for (const pass of items) pass();
  };
  Batcher.prototype.add = function (this: Batcher<BatchItem, unknown>, item: BatchItem) {
    return new Promise((resolve, reject) => {
      waiting.push(() => {
        try {
          add.call(this, item).then(resolve, reject);
        } catch (error) {
          reject(error);
        }
      });
      rows += item.rows;
      if (rows >= BATCH_ROWS) release();
      else timer ??= setTimeout(release, lingerMs);
    });
  };
}

await import('../../src/faces/service/main.ts');
