import { describeBigExport } from './describeBigExport.ts';
import { describeCommands } from './describeCommands.ts';
import { describeUsage } from './describeUsage.ts';
import { runCommandHere } from './support/commandHere.ts';

describeUsage(runCommandHere);
describeBigExport(80_000);
describeCommands(runCommandHere);
