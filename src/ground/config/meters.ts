import { z } from 'zod';
import { type Variables, wholeNumber } from './values.ts';

export const metersVariables = {
  METERS_PER_TENANT: wholeNumber(1, 10_000).default(100),
  METERS_FILE: z.string().min(1).optional(),
};

type Environment = Variables<typeof metersVariables>;

export interface MetersConfig {
  /** Live meters that a tenant may have: each is looked at with each of its events. */
  perTenant: number;
  /** Meters that are to be there, reconciled at start; undefined: none but those that are made otherwise. */
  file: string | undefined;
}

export function metersConfig(e: Environment): MetersConfig {
  return { perTenant: e.METERS_PER_TENANT, file: e.METERS_FILE };
}
