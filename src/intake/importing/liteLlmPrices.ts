import { JsonNumber } from '../../model/json.ts';
import { checkNewPrice } from '../../sums/costs/catalog/newPrice.ts';
import type { PriceTerms } from '../../sums/costs/catalog/price.ts';
import { type Priced, parsePrice } from '../../sums/costs/rating/unitPrices.ts';
import { providerNameOf } from '../events/providerNames.ts';

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

/** LiteLLM's names that are of one provider, and which; others are what they are elsewhere (providerNames.ts). */
const FAMILIES: [litellm: RegExp, provider: string][] = [
  [/^text-completion-openai$/, 'openai'],
  [/^(bedrock_converse|bedrock_mantle|amazon_nova)$/, 'aws.bedrock'],
  [/^vertex_ai-/, 'gcp.vertex_ai'],
  [/^azure_text$/, 'azure.ai.openai'],
  [/^cohere_chat$/, 'cohere'],
];

/** Names by which events that do not know any better have the same provider: their prices are its prices. */
const VAGUE_NAMES: Readonly<Record<string, string>> = { 'gcp.gemini': 'gcp.gen_ai' };

/** Characters of a model's name in a fault. */
const MOST_TOLD = 80;

/** What a map of prices has that can be taken. */
export interface MappedPrices {
  prices: PriceTerms[];
  /** Models without a price of tokens or calls: those of images, seconds, pages. */
  leftOut: number;
  /** Models of which larger calls cost more: what is taken is the price of the others. */
  tiered: number;
  /** Models that are there twice, with two prices: the one that is named as events name it is taken, else the first. */
  repeated: string[];
  /** Prices that cannot be read, by model and member, and names that nothing can have. */
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
    const providers = providersOf(named);
    const model = modelOf(name, named);
    const isPlain = model === name;
    const isAny = named === '' || [named, ...providers].some((provider) => anyProvider.has(provider));
    let isRepeated = false;
    for (const provider of isAny ? [null] : providers) {
      const key = JSON.stringify([model, provider]);
      const other = taken.get(key);
      isRepeated ||= other !== undefined && !hasSame(other.terms.unitPrices, unitPrices);
      if (other && (other.isPlain || !isPlain)) continue;
      const terms = checkNewPrice(
        { model, provider, currency: 'USD', unitPrices },
        (pointer, code, message) =>
          mapped.faults.push(`${told(name)}: ${pointer.slice(1)} ${message} (${code})`),
      );
      if (terms === null) break;
      const place = other?.place ?? mapped.prices.length;
      mapped.prices[place] = terms;
      taken.set(key, { terms, isPlain, place });
    }
    if (isRepeated) mapped.repeated.push(name);
  }
  return mapped;
}

/** A name as it can be printed, however long it is. */
function told(name: string): string {
  return name.length <= MOST_TOLD ? name : `${name.slice(0, MOST_TOLD)}…`;
}

/** The names that events have for a provider of LiteLLM's. */
function providersOf(named: string): string[] {
  const provider = FAMILIES.find(([litellm]) => litellm.test(named))?.[1] ?? providerNameOf(named);
  const vague = VAGUE_NAMES[provider];
  return vague === undefined ? [provider] : [provider, vague];
}

/**
 * The name that events have for a model: without the route that LiteLLM may have before it, which is its provider, or what the
 * providers of a family have in common (`vertex_ai/…` of vertex_ai-anthropic_models).
 */
function modelOf(name: string, named: string): string {
  const route = name.slice(0, Math.max(0, name.indexOf('/')));
  const isRoute = route !== '' && (named === route || /^[-_]/.test(named.slice(route.length)));
  return isRoute && named.startsWith(route) ? name.slice(route.length + 1) : name;
}

function hasSame(a: PriceTerms['unitPrices'], b: PriceTerms['unitPrices']): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
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
    else faults.push(`${told(name)}: ${member}: ${parsed.fault}`);
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
