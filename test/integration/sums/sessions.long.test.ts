import { describeSessions } from './describeSessions.ts';

describeSessions(10);
