import { expect, it } from 'vitest';
import { eventReader, type StreamEvent } from './stream.ts';

const TEXT =
  ': alive\n\nretry: 2500\nid: 7\nevent: sample\ndata: {"a":\ndata:1}\n\nid: 8\r\ndata: x:y\r\n\r\nevent: end\rdata\r\rdata: cut off';
const EVENTS: StreamEvent[] = [
  { event: 'sample', data: '{"a":\n1}', id: '7' },
  { event: 'message', data: 'x:y', id: '8' },
  { event: 'end', data: '', id: '8' },
];

it('takes a stream apart wherever it is cut', () => {
  for (let size = 1; size <= TEXT.length; size++) {
    const events: StreamEvent[] = [];
    const retries: number[] = [];
    const read = eventReader(
      (event) => events.push(event),
      (ms) => retries.push(ms),
    );
    for (let at = 0; at < TEXT.length; at += size) read(TEXT.slice(at, at + size));
    expect([size, events, retries]).toEqual([size, EVENTS, [2_500]]);
  }
});

it('goes on from the id of the connection before', () => {
  const events: StreamEvent[] = [];
  eventReader((event) => events.push(event), undefined, '41')('data: 1\n\nid: 42\ndata: 2\n\n');
  expect(events.map(({ id }) => id)).toEqual(['41', '42']);
});
