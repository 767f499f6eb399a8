import { type Family, post } from '../hostileRequest.ts';

const TYPES = [
  '',
  'text/plain',
  'text/html',
  'application/xml',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'multipart/form-data',
  'application/json; charset=utf-16',
  'application/json; charset=nonsense',
  'application/json,application/json',
  'application/jsonp',
  'application/vnd.api+json',
  'APPLICATION/JSON',
  'application/x-ndjson',
  'application/cloudevents+json',
  'application/cloudevents-batch+json',
  'application/cloudevents+avro',
  'application/cloudevents',
  'application/msgpack',
  ';',
  '/',
  'application/json;'.repeat(200),
];
const BODIES = [
  'a=1&b=2',
  '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
  '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--',
  '\x82\xa1a\x01',
  'callback({})',
  '\ufeff{}',
  '',
];

/** What is not JSON, called JSON; what is JSON, called something else. */
export const contentTypes: Family = (a) => {
  const json = JSON.stringify(a.event());
  const body =
    a.random() < 0.4
      ? json
      : a.pick([...BODIES, json, Buffer.from(json, 'utf16le'), Buffer.from(json, 'latin1')]);
  const path = a.pick([
    '/v1/events',
    '/v1/events',
    '/v1/records',
    '/increment',
    '/v1/keys',
    '/v1/tenants',
    '/v1/customers/x',
  ]);
  const request = post(a, body, { 'content-type': TYPES[a.turn % TYPES.length]! });
  return { ...request, path, method: path.endsWith('/x') ? 'PATCH' : 'POST' };
};
