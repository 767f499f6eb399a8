import { describeCosts } from './describeCosts.ts';

describeCosts(4, 20);
