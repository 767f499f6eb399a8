import { describeImportFiles } from './describeImportFiles.ts';
import { runCommandHere } from './support/commandHere.ts';

describeImportFiles(runCommandHere);
