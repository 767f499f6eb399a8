import type { TestService } from './service.ts';

/** Whether a path is for portal tokens, and not for keys. */
export const isPortal = ({ path }: { path: string }) => path.startsWith('/v1/portal/');

/** A portal token, made with a key of the tenant. */
export async function makePortalToken(
  t: Pick<TestService, 'call'>,
  key: string,
  body: { customerId: string; meters?: string[]; usage?: boolean; costs?: boolean; expiresIn?: number },
): Promise<{ id: string; token: string }> {
  const answer = await t.call('POST', '/v1/portal-tokens', { key, body });
  if (answer.status !== 201) throw new Error(`no portal token: ${JSON.stringify(answer.body)}`);
  return answer.body;
}
