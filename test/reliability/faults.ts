import { connectionsDropped } from './faults/connectionsDropped.ts';
import { databaseBlackHoled } from './faults/databaseBlackHoled.ts';
import { dataDiskFull, walDiskFull } from './faults/diskFull.ts';
import { lockHeld } from './faults/lockHeld.ts';
import { maxConnections } from './faults/maxConnections.ts';
import { postgresPaused } from './faults/postgresPaused.ts';
import { postgresStopped } from './faults/postgresStopped.ts';
import { redisBlackHoled } from './faults/redisBlackHoled.ts';
import { redisErrors } from './faults/redisErrors.ts';
import { redisKilled } from './faults/redisKilled.ts';
import { rollingRestart } from './faults/rollingRestart.ts';
import { serviceKilled } from './faults/serviceKilled.ts';
import { slowDatabase } from './faults/slowDatabase.ts';
import type { Fault } from './trial.ts';

/** In the order of the table. */
export const FAULTS: Fault[] = [
  serviceKilled,
  rollingRestart,
  postgresStopped,
  postgresPaused,
  connectionsDropped,
  slowDatabase,
  databaseBlackHoled,
  dataDiskFull,
  walDiskFull,
  maxConnections,
  lockHeld,
  redisKilled,
  redisBlackHoled,
  redisErrors,
];
