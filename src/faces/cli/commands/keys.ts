import { Command, Option } from 'commander';
import { SCOPES, type Scope } from '../../../access/tenancy/caller.ts';
import { type ApiKey, createKey, listKeys, revokeKey } from '../../../access/tenancy/keys.ts';
import { rotateKey } from '../../../access/tenancy/rotateKey.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { UsageError } from '../../../model/errors.ts';
import { duration, joined, moment, uuid } from '../arguments.ts';
import { EXIT_CODES } from '../exitCodes.ts';
import { runCommand } from '../runCommand.ts';
import { table } from '../table.ts';
import { withSchema } from '../withSchema.ts';

const DAY_MS = 86_400_000;
/** As long as the API allows. */
const MAX_OVERLAP_MS = 90 * DAY_MS;
const PAGE = 1_000;

const HELP = `
Works on the database (DATABASE_URL, else the local one in DATA_DIR), whether the service runs or not; instances that
run know of a change within five seconds. Changes are in the audit log, as made by a command.

${EXIT_CODES}`;

interface Owner {
  tenant?: string;
  platform?: true;
}

export function keysCommand(): Command {
  return new Command('keys')
    .usage('list|create|rotate|revoke [options]')
    .summary('list, make, rotate and revoke keys')
    .description('Lists, makes, rotates and revokes the keys of tenants and of the platform.')
    .addHelpText('after', HELP)
    .addCommand(
      withOwner(new Command('list').description('Lists keys without their secrets, oldest first.'))
        .option('--json', 'print a JSON array')
        .action((flags) => runCommand(() => list(flags))),
    )
    .addCommand(
      withOwner(new Command('create').description('Makes a key and prints it, once.'))
        .option('--scopes <scopes>', `some of ${SCOPES.join(', ')}, separated by commas`, joined)
        .option('--expires <when>', 'a time (2027-01-01), or how long from now (90d)')
        .option('--json', 'print a JSON object')
        .addHelpText('after', '\nExample:\n  npx tidemark keys create --tenant acme --scopes ingest,read')
        .action((flags) => runCommand(() => create(flags))),
    )
    .addCommand(
      new Command('rotate')
        .description(
          'Makes a key that takes the place of another, with the same scopes, and prints it, once.',
        )
        .argument('<id>', 'of the key that is replaced', uuid)
        .option(
          '--overlap <time>',
          'how long both are valid, at most 90d; 0s: the old one ends now',
          duration,
          DAY_MS,
        )
        .option('--tenant <id>', 'refuse a key of any other tenant')
        .option('--json', 'print a JSON object')
        .action((id, flags) => runCommand(() => rotate(id, flags))),
    )
    .addCommand(
      new Command('revoke')
        .description('Revokes a key, for good.')
        .argument('<id>', 'of the key', uuid)
        .option('--tenant <id>', 'refuse a key of any other tenant')
        .option('--json', 'print a JSON object')
        .action((id, flags) => runCommand(() => revoke(id, flags))),
    );
}

function withOwner(command: Command): Command {
  return command
    .option('--tenant <id>', 'of this tenant')
    .addOption(new Option('--platform', 'of the platform').conflicts('tenant'));
}

async function list({ tenant, platform, json }: Owner & { json?: true }): Promise<number> {
  const keys = await withSchema('admin', async (db) => {
    const all: ApiKey[] = [];
    let cursor: string | undefined;
    do {
      const page = await listKeys(db, tenant ?? null, { cursor, limit: PAGE });
      all.push(...page.data.filter(({ tenantId }) => !platform || tenantId === null));
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    return all;
  });
  if (json) print(keys);
  else process.stdout.write(table([HEADER, ...keys.map((key) => rowOf(key, Date.now()))]));
  return 0;
}

const HEADER = ['id', 'tenant', 'scopes', 'state', 'expires', 'last used', 'created'];

function rowOf(key: ApiKey, nowMs: number): string[] {
  return [
    key.id,
    key.tenantId ?? '(platform)',
    key.scopes.join(','),
    stateOf(key, nowMs),
    key.expiresAt ?? 'never',
    key.lastUsedAt ?? 'never',
    key.createdAt,
  ];
}

function stateOf(key: ApiKey, nowMs: number): string {
  if (key.revokedAt !== null) return 'revoked';
  if (key.expiresAt !== null && Date.parse(key.expiresAt) <= nowMs) return 'expired';
  return key.replacedBy === null ? 'active' : 'replaced';
}

async function create(flags: Owner & { scopes?: string; expires?: string; json?: true }): Promise<number> {
  const { tenant, platform, json } = flags;
  if (tenant === undefined && !platform) throw new UsageError('say whose key: --tenant ID or --platform');
  const key = {
    tenantId: tenant ?? null,
    scopes: parseScopes(flags.scopes),
    expiresAt: flags.expires === undefined ? undefined : expiry(flags.expires, Date.now()),
  };
  printNew(await withSchema('admin', (db) => createKey(db, key)), json);
  return 0;
}

async function rotate(
  id: string,
  { overlap, tenant, json }: { overlap: number; tenant?: string; json?: true },
): Promise<number> {
  if (overlap > MAX_OVERLAP_MS) throw new UsageError('--overlap: 90d at most');
  const rotation = { tenantId: tenant ?? null, id, overlapSeconds: Math.ceil(overlap / 1_000) };
  printNew(await withSchema('admin', (db) => rotateKey(db, rotation)), json);
  return 0;
}

async function revoke(id: string, { tenant, json }: { tenant?: string; json?: true }): Promise<number> {
  await withSchema('admin', (db: Queryable) => revokeKey(db, tenant ?? null, id));
  if (json) print({ id, revoked: true });
  else process.stdout.write(`revoked ${id}\n`);
  return 0;
}

function parseScopes(text: string | undefined): Scope[] {
  const scopes = (text ?? '').split(',').map((scope) => scope.trim());
  if (text === undefined || !scopes.every((scope) => SCOPES.includes(scope as Scope))) {
    throw new UsageError(`--scopes: some of ${SCOPES.join(', ')}, separated by commas`);
  }
  return [...new Set(scopes as Scope[])];
}

/** @throws {UsageError} when it is no time, or none to come. */
function expiry(text: string, nowMs: number): Date {
  let ms: number;
  try {
    ms = /^[\d.]+[smhd]$/.test(text) ? nowMs + duration(text) : moment(text);
  } catch (error) {
    throw new UsageError(`--expires: ${(error as Error).message}, or as 90d`);
  }
  if (ms <= nowMs) throw new UsageError('--expires: must be in the future');
  return new Date(ms);
}

/** The secret is nowhere but here: it goes to standard output, and to no log. */
function printNew(key: ApiKey & { key: string }, json: boolean | undefined): void {
  if (json) {
    print(key);
    return;
  }
  const lines: [string, string][] = [
    ['id', key.id],
    ['tenant', key.tenantId ?? '(platform)'],
    ['scopes', key.scopes.join(', ')],
    ['expires', key.expiresAt ?? 'never'],
    ...(key.replaces === null ? [] : [['replaces', key.replaces] as [string, string]]),
    ['key', key.key],
  ];
  process.stdout.write(table(lines));
  process.stderr.write('the key is shown here and never again\n');
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
