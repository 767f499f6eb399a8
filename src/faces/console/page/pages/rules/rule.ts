import { exceeds, NOTHING, share } from '../../format/numbers.ts';
import type { Tone } from '../../parts/Badge.tsx';

export interface Rule {
  id: string;
  name: string | null;
  kind: 'event' | 'usage';
  field?: string;
  measure?: string;
  meter?: string;
  currency?: string;
  period?: 'hour' | 'day' | 'month';
  threshold: string;
  customers: string[] | null;
  eventType: string | null;
  active: boolean;
  createdAt: string;
}

export interface Standing {
  customerId: string;
  name: string | null;
  value: string;
  told: boolean;
}

export interface Standings {
  rule: Rule;
  periodStart: string;
  periodEnd: string;
  customers: number;
  above: number;
  data: Standing[];
}

/** From this part of a threshold on a customer is near it. */
const NEAR = 0.8;

/** What is compared: `tokens`, `cost in USD`, `egress_gb`. */
export const comparedOf = ({
  field,
  measure,
  meter,
  currency,
}: Pick<Rule, 'field' | 'measure' | 'meter' | 'currency'>) =>
  meter ?? `${field ?? measure}${currency ? ` in ${currency}` : ''}`;

/** What a rule says, but for the threshold: `tokens of a customer per month`. */
export const ruleText = (rule: Rule) =>
  rule.kind === 'event'
    ? `${comparedOf(rule)} of each event`
    : `${comparedOf(rule)} of a customer per ${rule.period}`;

/** Where a value stands: to the last digit above or not; whether it is near is an estimate. */
export function standingOf(
  value: string,
  threshold: string,
): { text: string; tone: Tone; near: boolean; part: number } {
  const of = Number(threshold);
  const part = of > 0 ? Number(value) / of : 0;
  if (exceeds(value, threshold)) return { text: 'above', tone: 'bad', near: true, part };
  if (part >= NEAR) return { text: 'near', tone: 'warn', near: true, part };
  return { text: 'below', tone: 'plain', near: false, part };
}

export const partOf = (value: string, threshold: string) =>
  Number(threshold) > 0 ? share(Number(value), Number(threshold)) : NOTHING;
