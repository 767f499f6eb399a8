import { z } from '@hono/zod-openapi';
import { jsonNumber } from '../../model/json.ts';
import type { Costs, TokensByKind } from '../../sums/costs/reading/costQuery.ts';
import { TOKEN_KINDS } from '../../sums/meters/definition/usageSeries.ts';

/* What costs look like on the wire. */

const Tokens = z
  .object(Object.fromEntries(TOKEN_KINDS.map((kind) => [kind, z.int().optional()])))
  .openapi('TokensByKind', {
    description:
      'Tokens by kind, those that there are. Each token is of one kind: input is what is left of all input without its cached, ' +
      'written and audio parts, output what is left without reasoning and audio; unsplit are tokens of which nobody said whether ' +
      'they were input or output.',
  });

/** Fields of a bucket's costs. */
export const costFields = {
  calls: z.int().openapi({ description: 'AI calls.' }),
  unknownCalls: z.int().openapi({ description: 'Of them those of which no tokens are known.' }),
  tokens: Tokens,
  costs: z
    .array(
      z.object({
        currency: z.string().openapi({ description: 'ISO 4217.', example: 'USD' }),
        amount: z.string().openapi({ description: 'Exact decimal.', example: '0.01125' }),
        number: z.number().openapi({ description: 'The same as a JSON number, with all its digits.' }),
        calls: z.int().openapi({ description: 'Calls that are in it.' }),
      }),
    )
    .openapi({
      description: 'By currency. Each is a list of its own: usage with prices in two is in both.',
    }),
  unpriced: z.object({ calls: z.int(), unknownCalls: z.int(), tokens: Tokens }).openapi({
    description:
      'What is in no cost: calls without a price, those without counts where the price is of tokens, and tokens of which the ' +
      'price says nothing.',
  }),
};

/** Members of an answer that was made by prices. */
export const priceVersionFields = {
  priceVersion: z.int().openapi({
    description: 'The version of the list of prices that this was made by; 0: there has never been one.',
  }),
  pricesChangedAt: z.string().nullable().openapi({ description: 'When the list last changed.' }),
};

/** Costs as they are answered, for `stringifyJson`. */
export function costsJson({ tokens, costs, unpriced, ...rest }: Costs) {
  return {
    ...rest,
    tokens: tokensJson(tokens),
    costs: costs.map(({ currency, amount, calls }) => ({
      currency,
      amount,
      number: jsonNumber(amount),
      calls,
    })),
    unpriced: { ...unpriced, tokens: tokensJson(unpriced.tokens) },
  };
}

function tokensJson(tokens: TokensByKind) {
  return Object.fromEntries(Object.entries(tokens).map(([kind, count]) => [kind, jsonNumber(count)]));
}
