import { damaged, type Family, post } from '../hostileRequest.ts';

/** A valid body with damage at each of its bytes in turn. */
export const brokenJson: Family = (a) => {
  const lines = a.random() < 0.3;
  const events = Array.from({ length: a.pick([1, 1, 2, 3]) }, a.event);
  const whole = lines
    ? events.map((event) => JSON.stringify(event)).join('\n')
    : JSON.stringify(events.length === 1 ? events[0] : events);
  const body = damaged(a, Buffer.from(whole), ['{', '}', '[', ']', ',', ':', '"', '\\', '//']);
  const type = lines ? 'application/x-ndjson' : 'application/json';
  return post(a, body, { 'content-type': type }, a.pick(['', '', '?onInvalid=skip']));
};
