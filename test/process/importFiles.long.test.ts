import { runTidemark } from '../support/runTidemark.ts';
import { describeImportFiles } from './describeImportFiles.ts';

describeImportFiles(runTidemark);
