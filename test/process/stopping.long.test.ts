import { describeRestarts } from './describeRestarts.ts';
import { cleanUpPrograms } from './support/programs.ts';

cleanUpPrograms();
describeRestarts(Number(process.env.STOPPING_RESTARTS ?? 3)); // more of them by hand
