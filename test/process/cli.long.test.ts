import { runTidemark } from '../support/runTidemark.ts';
import { describeBigExport } from './describeBigExport.ts';
import { describeCommands } from './describeCommands.ts';
import { describeUsage } from './describeUsage.ts';

describeUsage(runTidemark);
describeBigExport(200_000);
describeCommands(runTidemark);
