import { MAX_PROVIDER, TOKEN_KINDS, type TokenKind, type UsageDimension } from '../definition/usageSeries.ts';
import { DIGITS_OF_KIND } from './packCounts.ts';
import type { SeriesSql } from './seriesSql.ts';

const PROVIDER = `case when jsonb_typeof(e.metadata -> 'provider') = 'string'
    and length(e.metadata ->> 'provider') between 1 and ${MAX_PROVIDER} then e.metadata ->> 'provider' end`;

const DIMENSIONS: Record<UsageDimension, string> = {
  eventType: 'e.event_type',
  apiEndpoint: 'e.endpoint',
  model: 'e.model',
  provider: PROVIDER,
};

/** The parts that metadata may tell of, by the names of their columns in `part`. */
const PARTS = {
  cached: 'cachedInputTokens',
  written: 'cacheWriteTokens',
  heard: 'audioInputTokens',
  reasoned: 'reasoningTokens',
  spoken: 'audioOutputTokens',
};

/** Each part by what there is room for beside those before it. */
const COUNTS: Record<TokenKind, string> = {
  cachedInput: 'least(cached, input)',
  cacheWrite: 'least(written, greatest(0, input - cached))',
  audioInput: 'least(heard, greatest(0, input - cached - written))',
  input: 'greatest(0, input - cached - written - heard)',
  reasoning: 'least(reasoned, output)',
  audioOutput: 'least(spoken, greatest(0, output - reasoned))',
  output: 'greatest(0, output - reasoned - spoken)',
  unsplit: 'unsplit',
};

/**
 * What `USAGE_RULE` says of an event, over `event e`. Its value is the packed number of packCounts.ts.
 *
 * @param paths of the dimensions that are needed, in their order.
 */
export function sqlOfUsage(paths: readonly string[]): SeriesSql {
  const parts = Object.entries(PARTS).map(([name, member]) => `${countOf(member)} as ${name}`);
  const packed = TOKEN_KINDS.map((kind, i) =>
    i === 0 ? `(${COUNTS[kind]})::numeric` : `(${COUNTS[kind]}) * 1e${i * DIGITS_OF_KIND}::numeric`,
  );
  const dims = paths.map((path) => DIMENSIONS[path as UsageDimension]);
  return {
    from: `
 cross join lateral (select ${parts.join(', ')}, coalesce(e.input_tokens, 0)::numeric as input, coalesce(e.output_tokens, 0)::numeric as output,
   case when e.input_tokens is null or e.output_tokens is null
     then greatest(0, coalesce(e.tokens, 0)::numeric - coalesce(e.input_tokens, 0) - coalesce(e.output_tokens, 0)) else 0 end as unsplit,
   ${HAS_COUNTS} as is_known offset 0) as part
 cross join lateral (select case when is_known then ${packed.join(' + ')} end as packed offset 0) as made`,
    where: `(${HAS_COUNTS} or e.model is not null or coalesce(e.metadata -> 'usageStatus' in ('"unknown"', '"unrecognised"'), false))`,
    dims: `array[${dims.join(', ')}]::text[]`,
    value: 'made.packed',
    member: 'null::uuid',
    memberText: 'null::text',
    ignored: `case when not part.is_known then 'missing' end`,
  };
}

const HAS_COUNTS = 'num_nonnulls(e.input_tokens, e.output_tokens, e.tokens) > 0';

function countOf(member: string): string {
  const number = `(e.metadata -> '${member}')::numeric`;
  return `case when jsonb_typeof(e.metadata -> '${member}') = 'number' then
     case when ${number} between 0 and ${Number.MAX_SAFE_INTEGER} and ${number} = trunc(${number}) then ${number} else 0 end else 0 end`;
}
