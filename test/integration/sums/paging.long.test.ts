import { describePaging } from './describePaging.ts';

describePaging(60);
