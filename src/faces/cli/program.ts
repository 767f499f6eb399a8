import { Command } from 'commander';
import { VERSION } from '../../ground/version.ts';
import { doctorCommand } from './commands/doctor.ts';
import { exportCommand } from './commands/export.ts';
import { importCommand } from './commands/import.ts';
import { keysCommand } from './commands/keys.ts';
import { metersCommand } from './commands/meters.ts';
import { migrateCommand } from './commands/migrate.ts';
import { pricesCommand } from './commands/prices.ts';
import { seedCommand } from './commands/seed.ts';
import { serveCommand } from './commands/serve.ts';
import { EXIT_CODES } from './exitCodes.ts';

/** The commands and their options. A program parses one command line: it keeps what it was told. */
export function tidemarkProgram(): Command {
  return new Command('tidemark')
    .usage('COMMAND [options]')
    .description('Self-hosted usage metering and event analytics.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help, also behind a command')
    .helpCommand('help [command]', 'print help')
    .addHelpText('after', `\n${EXIT_CODES}\nConfiguration is by environment variables: see README.md.`)
    .addCommand(serveCommand())
    .addCommand(migrateCommand())
    .addCommand(seedCommand())
    .addCommand(importCommand())
    .addCommand(exportCommand())
    .addCommand(keysCommand())
    .addCommand(metersCommand())
    .addCommand(pricesCommand())
    .addCommand(doctorCommand());
}
