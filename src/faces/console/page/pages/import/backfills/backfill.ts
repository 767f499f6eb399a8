interface Move {
  at: string;
  reason: string;
  windows: number;
}

export interface Backfill {
  id: string;
  state: 'staged' | 'closed' | 'reverted' | 'dropped';
  from: string;
  to: string;
  customers: string[] | null;
  replace: boolean;
  reason: string;
  createdAt: string;
  events: number;
  closed: (Move & { events: number; replaced: number; duplicates: number }) | null;
  reverted: Move | null;
  droppedAt: string | null;
}

interface Sums {
  events: number;
  windows: number;
  tokens: number;
  inputTokens: number;
  outputTokens: number;
  value: string;
}

interface Change {
  before: Sums;
  after: Sums;
  changedWindows: number;
}

export interface ShownBackfill extends Backfill {
  preview: (Change & { duplicates: number; days: (Change & { day: string })[] }) | null;
}
