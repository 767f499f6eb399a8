import { describeCosts } from './describeCosts.ts';

describeCosts(12, 40);
