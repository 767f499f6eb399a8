import { describe, expect, it } from 'vitest';
import { EventStream, frame } from './eventStream.ts';

function opened() {
  const told = { gone: 0, dropped: 0 };
  const stream = new EventStream(
    () => told.gone++,
    () => told.dropped++,
  );
  const reader = stream.body.getReader();
  const read = async () => {
    const { value, done } = await reader.read();
    return done ? 'end' : Buffer.from(value).toString();
  };
  const send = (text: string) => stream.send(Buffer.from(text));
  return { stream, reader, read, send, told };
}

it('is framed as HTML has it', () => {
  expect(Buffer.from(frame('sample', 'a.1', '{"x":1}')).toString()).toBe(
    'id: a.1\nevent: sample\ndata: {"x":1}\n\n',
  );
  expect(Buffer.from(frame('end', null, '{}')).toString()).toBe('event: end\ndata: {}\n\n');
});

describe('a reader', () => {
  it('that keeps up gets all', async () => {
    const { read, send, told } = opened();
    for (const text of ['1', '2', '3']) {
      send(text);
      expect(await read()).toBe(text);
    }
    const waiting = read();
    send('4');
    expect([await waiting, told]).toEqual(['4', { gone: 0, dropped: 0 }]);
  });

  it('that is slow misses what is neither the next nor the newest, however much comes', async () => {
    const { read, send, told } = opened();
    for (let i = 1; i <= 1_000; i++) send(String(i));
    expect([await read(), await read()]).toEqual(['1', '1000']);
    expect(told.dropped).toBe(998);
    send('1001');
    expect(await read()).toBe('1001');
  });

  it('gets a heartbeat where nothing else waits', async () => {
    const { stream, read, send } = opened();
    stream.heartbeat();
    stream.heartbeat();
    send('1');
    stream.heartbeat();
    expect([await read(), await read()]).toEqual([': alive\n\n', '1']);
  });

  it('is told of the end in place of what waits, and then nothing', async () => {
    const { stream, read, send, told } = opened();
    for (const text of ['1', '2', '3']) send(text);
    stream.end(Buffer.from('bye'));
    send('4');
    stream.end(Buffer.from('again'));
    stream.heartbeat();
    expect([await read(), await read(), await read()]).toEqual(['1', 'bye', 'end']);
    expect(told.gone).toBe(0);
  });

  it('that goes is known to have gone, once', async () => {
    const { stream, reader, send, told } = opened();
    send('1');
    await reader.cancel();
    send('2');
    stream.end(Buffer.from('bye'));
    expect(told.gone).toBe(1);
  });
});
