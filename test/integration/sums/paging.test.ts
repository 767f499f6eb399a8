import { describePaging } from './describePaging.ts';

describePaging(30);
