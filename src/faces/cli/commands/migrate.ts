import { Command } from 'commander';
import { loadConfig } from '../../../ground/config/loadConfig.ts';
import { prepareDatabase } from '../../../ground/db/prepareDatabase.ts';
import { EXIT_CODES } from '../exitCodes.ts';
import { runCommand, toolLogger } from '../runCommand.ts';
import { withDatabase } from '../withDatabase.ts';

export function migrateCommand(): Command {
  return new Command('migrate')
    .summary('bring the schema up to date')
    .description(
      'Brings the schema of the database (DATABASE_URL, else the local one in DATA_DIR) up to this version, wholly or ' +
        'not at all. The service does the same when it starts; several at once are safe.',
    )
    .addHelpText('after', `\n${EXIT_CODES}`)
    .action(() => runCommand(migrate));
}

async function migrate(): Promise<number> {
  const config = loadConfig();
  const applied = await withDatabase(config, (url) => prepareDatabase(url, config.database, toolLogger()));
  for (const name of applied) process.stdout.write(`applied ${name}\n`);
  if (applied.length === 0) process.stdout.write('the schema is up to date\n');
  return 0;
}
