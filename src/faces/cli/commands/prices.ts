import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import type pg from 'pg';
import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import { whyUnreadable } from '../../../ground/whyUnreadable.ts';
import { csvPrices } from '../../../intake/importing/csvPrices.ts';
import { isLiteLlmMap, liteLlmPrices } from '../../../intake/importing/liteLlmPrices.ts';
import { StartupError, TidemarkError } from '../../../model/errors.ts';
import { parseJson } from '../../../model/json.ts';
import { listPrices } from '../../../sums/costs/catalog/listPrices.ts';
import { overlapsAmong } from '../../../sums/costs/catalog/newPrice.ts';
import { type PricePlan, planPrices } from '../../../sums/costs/catalog/planPrices.ts';
import { type Price, type PriceTerms, priceJson } from '../../../sums/costs/catalog/price.ts';
import { putPrices } from '../../../sums/costs/catalog/putPrices.ts';
import { collected, moment } from '../arguments.ts';
import { EXIT_CODES } from '../exitCodes.ts';
import { forTenant } from '../forTenant.ts';
import { runCommand } from '../runCommand.ts';
import { table } from '../table.ts';

const PAGE = 1_000;
const MINUTE_MS = 60_000;
/** How often an import is planned anew where somebody else changes prices meanwhile. */
const TRIES = 5;
const MOST_FAULTS_TOLD = 20;

const HELP = `
Works on the database (DATABASE_URL, else the local one in DATA_DIR), whether the service runs or not. What a price is:
docs/costs.md. Changes are in the audit log, as made by a command.

${EXIT_CODES}`;

interface ImportFlags {
  tenant: string;
  dryRun?: true;
  at?: number;
  provider: string[];
  anyProvider: string[];
}

export function pricesCommand(): Command {
  return new Command('prices')
    .usage('list|import --tenant ID [options]')
    .summary('list and import prices')
    .description("Lists a tenant's prices of AI usage, and brings them from a file.")
    .addHelpText('after', HELP)
    .addCommand(
      new Command('list')
        .description('Lists prices that hold, oldest first.')
        .requiredOption('--tenant <id>', 'whose')
        .option('--superseded', 'also those that others have taken the place of')
        .option('--json', 'print a JSON array')
        .action((flags) => runCommand(() => list(flags))),
    )
    .addCommand(
      new Command('import')
        .description(
          'Brings prices from a CSV file, or from JSON as the public price map of LiteLLM has it ' +
            '(model_prices_and_context_window.json). All of them or none; what is there already stays as it is, so doing it again does nothing.',
        )
        .argument('<file>', 'to read')
        .requiredOption('--tenant <id>', 'whose')
        .option('--dry-run', 'tell what would be done')
        .option(
          '--at <time>',
          'from when on prices that do not say so hold, where there are others; default: the minute that has begun',
          moment,
        )
        .option('--provider <name>', 'only of this provider; may be given several times', collected, [])
        .option(
          '--any-provider <name>',
          "have this provider's prices hold for events that name none, too; may be given several times",
          collected,
          [],
        )
        .action((file, flags) => runCommand(() => importPrices(file, flags))),
    );
}

function list(flags: { tenant: string; superseded?: true; json?: true }): Promise<number> {
  return forTenant(flags.tenant, async (client, context) => {
    const prices = await allPrices(client, context, flags.superseded ?? false);
    const told = prices.map(priceJson);
    if (flags.json) process.stdout.write(`${JSON.stringify(told)}\n`);
    else {
      const header = ['model', 'match', 'provider', 'currency', 'from', 'to', 'unit prices', 'id'];
      const rows = told.map((price) => [
        price.model,
        price.match,
        price.provider ?? '',
        price.currency,
        price.effectiveFrom ?? '',
        price.effectiveTo ?? '',
        Object.entries(price.unitPrices)
          .map((unit) => unit.join('='))
          .join(' '),
        price.id,
      ]);
      process.stdout.write(table([header, ...rows]));
    }
    return 0;
  });
}

async function allPrices(client: pg.Client, context: TenantContext, superseded: boolean): Promise<Price[]> {
  const prices: Price[] = [];
  let cursor: string | undefined;
  do {
    const page = await listPrices(client, context, { superseded, cursor, limit: PAGE });
    prices.push(...page.data);
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  return prices;
}

async function importPrices(file: string, flags: ImportFlags): Promise<number> {
  const wanted = await readPrices(file, flags);
  const atMs = flags.at ?? Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS;
  return forTenant(flags.tenant, async (client, context) => {
    for (let tries = 1; ; tries++) {
      const { rows } = await client.query<{ version: string }>(
        'select coalesce(max(version), 0) as version from price_list where tenant_id = $1',
        [context.tenantId],
      );
      const plan = planPrices(await allPrices(client, context, false), wanted, atMs * 1_000);
      if (flags.dryRun || plan.put.length === 0) {
        process.stdout.write(`${told(plan)}${flags.dryRun ? '; nothing was stored' : ''}\n`);
        return 0;
      }
      try {
        const { version } = await putPrices(client, context, plan.put, undefined, Number(rows[0]!.version));
        process.stdout.write(`${told(plan)}; version ${version} of the list\n`);
        return 0;
      } catch (error) {
        const changed = error instanceof TidemarkError && error.code === 'price_superseded';
        if (changed && tries < TRIES) continue;
        throw error instanceof TidemarkError
          ? new StartupError(withFirstFault(error), { cause: error })
          : error;
      }
    }
  });
}

function told({ added, changed, unchanged }: PricePlan): string {
  return `${added} added, ${changed} changed, ${unchanged} unchanged`;
}

function withFirstFault({ message, errors }: TidemarkError): string {
  return errors?.[0] ? `${message}: ${errors[0].message}` : message;
}

/** What a file has, checked. What cannot be taken of it is told on the error output. */
async function readPrices(file: string, { provider, anyProvider }: ImportFlags): Promise<PriceTerms[]> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file));
  } catch (error) {
    throw new StartupError(`${file}: ${whyUnreadable(error)}`, { cause: error });
  }
  const { prices, faults } = /^\s*[{[]/.test(text)
    ? fromJson(file, text, new Set(anyProvider))
    : csvPrices(text);
  if (faults.length > 0) {
    const more = faults.length - MOST_FAULTS_TOLD;
    const lines = faults.slice(0, MOST_FAULTS_TOLD).join('\n  ');
    throw new StartupError(`${file}:\n  ${lines}${more > 0 ? `\n  and ${more} more` : ''}`);
  }
  const wanted = prices.filter((price) => provider.length === 0 || provider.includes(price.provider ?? ''));
  if (overlapsAmong(wanted.map((terms) => ({ ...terms, supersedes: null }))).length > 0) {
    throw new StartupError(`${file}: two prices of the same are in force at a time`);
  }
  return wanted;
}

function fromJson(file: string, text: string, anyProvider: ReadonlySet<string>) {
  let document: unknown;
  try {
    document = parseJson(text);
  } catch (error) {
    throw new StartupError(`${file}: ${(error as Error).message}`, { cause: error });
  }
  if (!isLiteLlmMap(document)) throw new StartupError(`${file}: is no map of models with litellm_provider`);
  const mapped = liteLlmPrices(document, anyProvider);
  const notes = [
    ['left out, since they have no price of tokens or calls', mapped.leftOut],
    ['with other prices for large calls, which are not taken', mapped.tiered],
    ['there twice with two prices, of which one is taken', mapped.repeated.length],
  ] as const;
  for (const [note, count] of notes) if (count > 0) process.stderr.write(`models ${note}: ${count}\n`);
  return mapped;
}
