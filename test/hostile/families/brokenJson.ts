import { type Family, post } from '../hostileRequest.ts';

/** A valid body with damage at each of its bytes in turn. */
export const brokenJson: Family = (a) => {
  const lines = a.random() < 0.3;
  const events = Array.from({ length: a.pick([1, 1, 2, 3]) }, a.event);
  const whole = lines
    ? events.map((event) => JSON.stringify(event)).join('\n')
    : JSON.stringify(events.length === 1 ? events[0] : events);
  const bytes = Buffer.from(whole);
  const at = a.turn % bytes.length;
  const byte = Buffer.from([Math.floor(a.random() * 256)]);
  const damage = a.pick(['cut', 'flip', 'delete', 'insert', 'repeat', 'punctuation'] as const);
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
  const body = {
    cut: () => head,
    flip: () => Buffer.concat([head, byte, tail.subarray(1)]),
    delete: () => Buffer.concat([head, tail.subarray(1)]),
    insert: () => Buffer.concat([head, byte, tail]),
    repeat: () => Buffer.concat([head, tail, head]),
    punctuation: () =>
      Buffer.concat([head, Buffer.from(a.pick(['{', '}', '[', ']', ',', ':', '"', '\\', '//'])), tail]),
  }[damage]();
  const type = lines ? 'application/x-ndjson' : 'application/json';
  return post(a, body, { 'content-type': type }, a.pick(['', '', '?onInvalid=skip']));
};
