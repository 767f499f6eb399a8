import { createHmac } from 'node:crypto';

/**
 * The value of `webhook-signature` (Standard Webhooks, "Signature scheme"): one signature per secret, so that receivers
 * verify with the old one and the new one while a secret is rotated.
 *
 * @param secrets `whsec_` and base64.
 * @param timestamp of the attempt, s since the epoch.
 */
export function sign(secrets: readonly string[], id: string, timestamp: number, body: string): string {
  return secrets
    .map((secret) => {
      const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
      return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
    })
    .join(' ');
}
