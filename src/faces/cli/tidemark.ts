#!/usr/bin/env node
import { parseCommandLine } from './parseCommandLine.ts';
import { tidemarkProgram } from './program.ts';

await parseCommandLine(await tidemarkProgram(process.argv[2]));
