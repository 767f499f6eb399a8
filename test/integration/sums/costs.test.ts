import { describeCosts } from './describeCosts.ts';

describeCosts(2, 6);
