import { describeBigExport } from './describeBigExport.ts';

describeBigExport(200_000);
