import { Command } from 'commander';
import { VERSION } from '../../ground/version.ts';
import { EXIT_CODES } from './exitCodes.ts';

/** Each is loaded when it is asked for: all of them, with all that they stand on, take longer than most take to run. */
const COMMANDS: Record<string, () => Promise<Command>> = {
  serve: async () => (await import('./commands/serve.ts')).serveCommand(),
  migrate: async () => (await import('./commands/migrate.ts')).migrateCommand(),
  seed: async () => (await import('./commands/seed.ts')).seedCommand(),
  import: async () => (await import('./commands/import.ts')).importCommand(),
  export: async () => (await import('./commands/export.ts')).exportCommand(),
  verify: async () => (await import('./commands/verify.ts')).verifyCommand(),
  void: async () => (await import('./commands/corrections.ts')).voidCommand(),
  restore: async () => (await import('./commands/corrections.ts')).restoreCommand(),
  amend: async () => (await import('./commands/corrections.ts')).amendCommand(),
  keys: async () => (await import('./commands/keys.ts')).keysCommand(),
  meters: async () => (await import('./commands/meters.ts')).metersCommand(),
  prices: async () => (await import('./commands/prices.ts')).pricesCommand(),
  doctor: async () => (await import('./commands/doctor.ts')).doctorCommand(),
};

/**
 * The commands and their options. A program parses one command line: it keeps what it was told.
 *
 * @param asked the first argument: where it names a command, the program has no other.
 */
export async function tidemarkProgram(asked?: string): Promise<Command> {
  const program = new Command('tidemark')
    .usage('COMMAND [options]')
    .description('Self-hosted usage metering and event analytics.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help, also behind a command')
    .helpCommand('help [command]', 'print help')
    .addHelpText('after', `\n${EXIT_CODES}\nConfiguration is by environment variables: see README.md.`);
  const one = asked !== undefined && Object.hasOwn(COMMANDS, asked) ? COMMANDS[asked] : undefined;
  for (const load of one ? [one] : Object.values(COMMANDS)) program.addCommand(await load());
  return program;
}
