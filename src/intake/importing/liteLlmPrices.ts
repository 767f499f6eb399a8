import { JsonNumber } from '../../model/json.ts';
import type { PriceTerms } from '../../sums/costs/catalog/price.ts';
import { type Priced, parsePrice } from '../../sums/costs/rating/unitPrices.ts';

/*
 * The public price map of LiteLLM, model_prices_and_context_window.json of BerriAI/litellm, as of its commit 00035b69: an object
 * of model names, each with its provider and what a token costs in USD.
 */

const UNITS: Record<string, Priced> = {
  input_cost_per_token: 'input',
  output_cost_per_token: 'output',
  cache_read_input_token_cost: 'cachedInput',
  cache_creation_input_token_cost: 'cacheWrite',
  output_cost_per_reasoning_token: 'reasoning',
  input_cost_per_audio_token: 'audioInput',
  output_cost_per_audio_token: 'audioOutput',
  input_cost_per_query: 'call',
  input_cost_per_request: 'call',
};

/** Names of providers as events have them: those of OpenTelemetry (gen_ai.provider.name) where it has one. */
const PROVIDERS: [litellm: RegExp, provider: string][] = [
  [/^(openai|text-completion-openai)$/, 'openai'],
  [/^(bedrock|bedrock_converse|bedrock_mantle|amazon_nova)$/, 'aws.bedrock'],
  [/^vertex_ai/, 'gcp.vertex_ai'],
  [/^gemini$/, 'gcp.gemini'],
  [/^(azure|azure_text)$/, 'azure.ai.openai'],
  [/^azure_ai$/, 'azure.ai.inference'],
  [/^(cohere|cohere_chat)$/, 'cohere'],
  [/^mistral$/, 'mistral_ai'],
  [/^xai$/, 'x_ai'],
  [/^watsonx$/, 'ibm.watsonx.ai'],
];

/** What a map of prices has that can be taken. */
export interface MappedPrices {
  prices: PriceTerms[];
  /** Models without a price of tokens or calls: those of images, seconds, pages. */
  leftOut: number;
  /** Models of which larger calls cost more: what is taken is the price of the others. */
  tiered: number;
  /** Models that are there twice, with two prices: the one that is named as events name it is taken, else the first. */
  repeated: string[];
  /** Prices that cannot be read, by model and member. */
  faults: string[];
}

/** Whether a document looks like one. */
export function isLiteLlmMap(document: unknown): document is Record<string, unknown> {
  return (
    isObject(document) &&
    Object.values(document).some((entry) => isObject(entry) && 'litellm_provider' in entry)
  );
}

/**
 * @param document parsed by `parseJson`, so that no digit is lost.
 * @param anyProvider providers, by either name, whose prices are to hold for events that do not name theirs, too.
 */
export function liteLlmPrices(
  document: Record<string, unknown>,
  anyProvider: ReadonlySet<string>,
): MappedPrices {
  const mapped: MappedPrices = { prices: [], leftOut: 0, tiered: 0, repeated: [], faults: [] };
  const taken = new Map<string, { terms: PriceTerms; isPlain: boolean; place: number }>();
  for (const [name, entry] of Object.entries(document)) {
    if (name === 'sample_spec' || !isObject(entry)) continue;
    const unitPrices = unitPricesOf(name, entry, mapped.faults);
    if (unitPrices === null) {
      mapped.leftOut++;
      continue;
    }
    if (Object.keys(entry).some((member) => /_above_\d+k?_tokens/.test(member))) mapped.tiered++;
    const named = String(entry.litellm_provider ?? '');
    const provider = PROVIDERS.find(([litellm]) => litellm.test(named))?.[1] ?? named;
    const model = name.startsWith(`${named}/`) ? name.slice(named.length + 1) : name;
    const isAny = provider === '' || anyProvider.has(provider) || anyProvider.has(named);
    const terms: PriceTerms = {
      model,
      match: 'exact',
      provider: isAny ? null : provider,
      currency: 'USD',
      fromMicros: null,
      toMicros: null,
      unitPrices,
    };
    const key = JSON.stringify([model, terms.provider]);
    const other = taken.get(key);
    const isPlain = model === name;
    if (other && JSON.stringify(other.terms.unitPrices) !== JSON.stringify(unitPrices))
      mapped.repeated.push(name);
    if (other && (other.isPlain || !isPlain)) continue;
    const place = other?.place ?? mapped.prices.length;
    mapped.prices[place] = terms;
    taken.set(key, { terms, isPlain, place });
  }
  return mapped;
}

/** Null where there is none that is more than 0, and something else that costs; or none at all. */
function unitPricesOf(
  name: string,
  entry: Record<string, unknown>,
  faults: string[],
): PriceTerms['unitPrices'] | null {
  const unitPrices: PriceTerms['unitPrices'] = {};
  for (const [member, unit] of Object.entries(UNITS)) {
    const value = entry[member];
    if (value == null) continue;
    const isNumber = typeof value === 'number' || typeof value === 'string' || value instanceof JsonNumber;
    const parsed = isNumber ? parsePrice(String(value)) : { fault: 'value_invalid' };
    if ('price' in parsed) unitPrices[unit] = parsed.price;
    else faults.push(`${name}: ${member}: ${parsed.fault}`);
  }
  const all = Object.values(unitPrices);
  if (all.length === 0) return null;
  const others = Object.entries(entry).filter(
    ([member, value]) => /cost/.test(member) && !(member in UNITS) && value !== 0,
  );
  return all.every((price) => price === '0') && others.length > 0 ? null : unitPrices;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof JsonNumber)
  );
}
