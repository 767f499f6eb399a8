import { TidemarkError } from '../../model/errors.ts';

/** Where messages are to go: a webhook, or a Redis stream. */
export type Endpoint = { url: string; stream?: undefined } | { url?: undefined; stream: string };

/** Throws unless messages can be sent there. */
export type EndpointCheck = (endpoint: Endpoint) => Promise<void>;

const MAX_URL_LENGTH = 2_048;

/**
 * What can be said of a URL without asking anybody.
 *
 * @throws {TidemarkError} `endpoint_invalid`.
 */
export function requireUrl(url: string): void {
  if (url.length > MAX_URL_LENGTH) refuse(`has more than ${MAX_URL_LENGTH} characters`);
  const parsed = URL.parse(url);
  if (parsed === null) refuse('is not a URL');
  if (parsed.protocol !== 'https:' && parsed.protocol !== 'http:') refuse('is neither http nor https');
  if (parsed.username !== '' || parsed.password !== '') refuse('holds credentials');
}

function refuse(fault: string): never {
  const errors = [{ index: 0, pointer: '/url', code: 'endpoint_invalid', message: fault }];
  throw new TidemarkError('endpoint_invalid', `url ${fault}`, { errors });
}
