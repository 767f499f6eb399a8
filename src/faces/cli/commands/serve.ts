import { Command } from 'commander';
import { EXIT_CODES } from '../exitCodes.ts';

export function serveCommand(): Command {
  return new Command('serve')
    .summary('run the service')
    .description(
      'Runs the service until SIGTERM or SIGINT: it then takes no more, writes what it has taken, and ends. A second ' +
        'signal ends it at once.',
    )
    .addHelpText('after', `\n${EXIT_CODES}`)
    .action(async () => {
      await import('../../service/main.ts'); // the process is the service's from here on: its signals and its exit code
    });
}
