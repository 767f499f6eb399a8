import { type Command, CommanderError } from 'commander';
import { WRONG_USAGE } from './exitCodes.ts';

/** Runs the command that the arguments name; a command line that is wrong ends with code 2, and help with 0. */
export async function parseCommandLine(program: Command, args: string[] = process.argv): Promise<void> {
  throwInPlaceOfExit(program);
  try {
    await program.parseAsync(args);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error; // what it has to say it has said
    process.exitCode = error.exitCode === 0 ? 0 : WRONG_USAGE;
  }
}

function throwInPlaceOfExit(command: Command): void {
  command.exitOverride();
  for (const sub of command.commands) throwInPlaceOfExit(sub);
}
