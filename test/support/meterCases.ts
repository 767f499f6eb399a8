import { formatPath } from '../../src/sums/meters/definition/singularPath.ts';

/*
 * Random events as raw JSON, and random definitions of meters that read them: few names, so that paths meet what is
 * there, and values of every form in which a number, or what looks like one, may come.
 */

/** As `randomFrom` gives it. */
type Random = () => number;

const COLUMNS = ['tokens', 'inputTokens', 'outputTokens', 'latencyMs', 'model'];
const FIELDS = ['apiEndpoint', 'reference', 'sessionId', 'unit', 'value'];
const NAMES = [
  ...[
    'a',
    'b',
    'size',
    'größe',
    '😀',
    '值',
    '',
    'a b',
    'a.b',
    "it's",
    'say "so"',
    'back\\slash',
    '$',
    '*',
    'last',
  ],
  ...['0', '1', '-1', '01', '+1', ' 1', '1 ', '0x1', '2147483648', '99999999999999999999'],
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'toJSON', 'null', 'true'],
  ...['\u0001', '\u007f', 'tab\t', 'line\n', '\u2028', '{a,0}', '"', "'", '\\u0041', '/', '~1', '%s'],
];

const NUMBERS = [
  ...['0', '-0', '0.0', '-0.0', '0e5', '1', '1.0', '1.50', '1e0', '10e-1', '1e2', '1E+2', '-2.5e-3', '100'],
  ...['0.1', '0.30000000000000004', '0.01', '0.0099', '1e-7', '0.0000001', '1e21', '1e20', '-1e20', '1e300'],
  ...['99999999999999999999', '-99999999999999999999', '100000000000000000000', '99999999999999999999.4'],
  ...['99999999999999999999.9999999999999999994', '99999999999999999999.9999999999999999995'],
  ...['-99999999999999999999.9999999999999999995', '99999999999999983616', '100000000000000000001'],
  ...['1e-18', '5e-19', '-5e-19', '4.9e-19', '4.999999999999999999999e-19', '1.5e-18', '2.5e-18', '1e-19'],
  ...['1.0000000000000000005', '1.0000000000000000004999', '0.0000000000000000015', '-0.0000000000000000025'],
  ...['9007199254740993', '9007199254740992', '123456789012345678901234567890', '0.1234567890123456785'],
  ...['1e400', '-1e400', '1e-400', '1.7976931348623157e308', '5e-324', '2.2250738585072011e-308', '2e-320'],
  ...[
    '1234567890123456789',
    '-1234567890123456789.0',
    '123456789012345678.90123456789e1',
    '5',
    '5.0',
    '4.999999999999999',
  ],
];

const LOOK_LIKE_NUMBERS = [
  ...NUMBERS,
  ...[
    '12.5',
    '+.5',
    '-.5',
    '5.',
    '1e3',
    ' 12',
    '12 ',
    '12\n',
    '\n12',
    '1e20',
    '1e19',
    '0.1234567890123456789',
  ],
  ...[
    '0.12345678901234567800',
    '1e-18',
    '1e-19',
    '1e-9999',
    '1e9999',
    '1e10000',
    '1e+0001',
    '0e9999',
    '-0e-9999',
  ],
  ...[
    'NaN',
    'nan',
    'Infinity',
    '-Infinity',
    'inf',
    '0x10',
    '1_000',
    '1,5',
    '',
    '.',
    '+',
    '-',
    'e5',
    '1e',
    '--1',
    '1.2.3',
  ],
  ...[
    '٣',
    '１',
    '१',
    '²',
    '½',
    `${'0'.repeat(99)}1`,
    `${'0'.repeat(100)}1`,
    `1.${'0'.repeat(98)}`,
    `1.${'0'.repeat(99)}`,
  ],
  ...['true', 'false', 'null', '{}', '[1]', '"1"'],
];

const TEXTS = [
  'pro',
  'Pro',
  'free',
  'größe',
  'e\u0301',
  '\u00e9',
  '😀',
  "it's",
  'a"b',
  'c\\d',
  'NULL',
  '{a}',
  'a\tb',
  ' pro',
  'pro ',
];
const LONG_TEXTS = [
  'x'.repeat(512),
  'x'.repeat(513),
  '😀'.repeat(512),
  '😀'.repeat(513),
  `${'x'.repeat(511)}😀`,
  'ab'.repeat(5_000),
];
const TYPES = ['m.one', 'm.one', 'm.one', 'm.one', 'm.two'];
/** Most names are one of them, so that paths meet what is there. */
const COMMON_NAMES = ['a', 'b', 'size', '0', '1', "it's"];
const CENTRE_MS = Date.UTC(2026, 10, 28, 12);

/** Draws events and definitions, the same for the same seed. */
export class MeterCases {
  readonly #random: Random;
  #ids = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Raw JSON of a native event. Not each is valid. */
  nativeEvent(): string {
    const members: [string, string][] = [
      ['eventId', JSON.stringify(this.#uuid())],
      ['timestamp', JSON.stringify(this.#time())],
      ['customerId', '"customer-1"'],
      ['eventType', this.#text(this.#pick(TYPES))],
    ];
    members.push(...this.#fields(), ['metadata', this.#metadata(COLUMNS)]);
    return this.#object(members.filter(([name]) => name !== 'metadata' || this.#chance(0.95)));
  }

  /** Raw JSON of a CloudEvent. Not each is valid. */
  cloudEvent(): string {
    const data = this.#metadata([...COLUMNS, ...FIELDS]);
    const members: [string, string][] = [
      ['specversion', '"1.0"'],
      ['id', JSON.stringify(this.#uuid())],
      ['source', '"/meters"'],
      ['type', this.#text(this.#pick(TYPES))],
      ['subject', '"customer-1"'],
      ['time', JSON.stringify(this.#time())],
      ['data', this.#chance(0.9) ? data : this.#value(2)],
    ];
    for (const name of ['a', 'size', 'sequence', 'last']) {
      if (this.#chance(0.1))
        members.push([name, this.#chance(0.5) ? this.#text('pro') : this.#pick(['5', 'true'])]);
    }
    return this.#object(members);
  }

  /** Raw JSON of a native event that is, or looks like, an AI call. Not each is valid. */
  aiEvent(): string {
    const counts = ['0', '7', '5', '12', '100', '1e2', '5.0', '9007199254740991'];
    const strange = [
      '-1',
      '1.5',
      '"7"',
      'null',
      'true',
      '{}',
      '9007199254740992',
      '9007199254740993',
      '1e300',
      '-0',
      '1e-400',
    ];
    const count = () => this.#pick(counts);
    const part = () => (this.#chance(0.8) ? count() : this.#pick(strange));
    const members: [string, string][] = [];
    for (const name of ['inputTokens', 'outputTokens', 'tokens']) {
      if (this.#chance(0.5)) members.push([name, count()]);
    }
    for (const name of [
      'cachedInputTokens',
      'cacheWriteTokens',
      'audioInputTokens',
      'reasoningTokens',
      'audioOutputTokens',
    ]) {
      if (this.#chance(0.4)) members.push([name, part()]);
    }
    if (this.#chance(0.6)) members.push(['model', this.#text(this.#pick(['gpt-4o', 'größe', 'm']))]);
    if (this.#chance(0.5)) {
      const long = ['x'.repeat(64), 'x'.repeat(65), '😀'.repeat(64), '😀'.repeat(65)];
      const texts = ['openai', '', ...long].map((text) => this.#text(text));
      members.push(['provider', this.#pick([...texts, '5', 'null', '["openai"]', 'true'])]);
    }
    if (this.#chance(0.3)) {
      members.push([
        'usageStatus',
        this.#pick(['"unknown"', '"unrecognised"', '"counted"', '"Unknown"', '5', 'null']),
      ]);
    }
    return this.#object([
      ['eventId', JSON.stringify(this.#uuid())],
      ['timestamp', JSON.stringify(this.#time())],
      ['customerId', '"customer-1"'],
      ['eventType', this.#text(this.#pick(['gen_ai.chat', 'm.one']))],
      ['metadata', this.#object(members)],
    ]);
  }

  /** A definition as it is sent, parsed by JSON.parse but for its filter, which is raw JSON. Not each is valid. */
  definition(documents: readonly unknown[]): { sent: Record<string, unknown>; filter: string } {
    const aggregation = this.#pick(['count', 'sum', 'sum', 'sum', 'max', 'uniqueCount', 'uniqueCount']);
    const dimensions = Object.fromEntries(
      Array.from({ length: this.#int(4) }, (_, i) => [`d${i}`, this.#path(documents)]),
    );
    const conditions = Array.from({ length: this.#pick([0, 0, 1, 1, 2]) }, () => this.#condition(documents));
    return {
      sent: {
        eventType: this.#pick(TYPES),
        ...(this.#chance(0.15) && { eventFrom: this.#time() }),
        aggregation,
        ...(aggregation !== 'count' && { value: this.#path(documents) }),
        dimensions,
      },
      filter: `[${conditions.join(',')}]`,
    };
  }

  #condition(documents: readonly unknown[]): string {
    const path = JSON.stringify(this.#path(documents));
    const scalars = () => Array.from({ length: 1 + this.#int(12) }, () => this.#scalar()).join(',');
    const bound = () => {
      const number = this.#pick([
        '0',
        '1',
        '-1',
        '5',
        '0.1',
        '0.01',
        '100',
        '1e19',
        '1e-18',
        '9007199254740993',
        '-0',
        '12.5',
      ]);
      return this.#chance(0.5) ? number : JSON.stringify(number);
    };
    const comparison = this.#pick(['greaterThan', 'greaterOrEqual', 'lessThan', 'lessOrEqual']);
    const operator = this.#pick([
      () => `"equals":${this.#scalar()}`,
      () => `"in":[${scalars()}]`,
      () => `"exists":${this.#chance(0.7)}`,
      () => `"${comparison}":${bound()}`,
      () => `"${comparison}":${bound()}`,
    ]);
    return `{"path":${path},${operator()}}`;
  }

  /** Mostly of something that is there, or nearly so. */
  #path(documents: readonly unknown[]): string {
    const steps: (string | number)[] = [];
    let at: unknown = this.#chance(0.8) ? this.#pick(documents) : undefined;
    while (typeof at === 'object' && at !== null && (steps.length === 0 || this.#chance(0.8))) {
      const isList = Array.isArray(at);
      const keys = Object.keys(at);
      if (keys.length === 0) break;
      const key = this.#pick(keys);
      steps.push(isList ? (this.#chance(0.5) ? Number(key) : Number(key) - keys.length) : key);
      at = (at as Record<string, unknown>)[key];
    }
    if (steps.length === 0) steps.push(this.#name());
    if (this.#chance(0.15)) steps.push(this.#chance(0.5) ? this.#name() : this.#index());
    if (this.#chance(0.15)) {
      const place = this.#int(steps.length);
      const step = steps[place]!;
      steps[place] =
        typeof step === 'number' ? String(step) : /^\d{1,9}$/.test(step) ? Number(step) : this.#name();
    }
    return this.#chance(0.5) ? formatPath(steps) : this.#written(steps);
  }

  /** A path in some other form: short names, double quotes, escapes, blanks. */
  #written(steps: readonly (string | number)[]): string {
    const blank = () => (this.#chance(0.1) ? ' ' : '');
    return `$${steps
      .map((step) => {
        if (typeof step === 'number') return `${blank()}[${blank()}${step}]`;
        if (/^[a-z_]+$/i.test(step) && this.#chance(0.7)) return `.${step}`;
        return `[${this.#text(step)}${blank()}]`;
      })
      .join('')}`;
  }

  /** Columns beside the metadata. */
  #fields(): [string, string][] {
    const members: [string, string][] = [];
    if (this.#chance(0.3)) members.push(['apiEndpoint', this.#text(this.#pick([...TEXTS, ...LONG_TEXTS]))]);
    const reference = this.#pick(['reference', 'sessionId', null]);
    if (reference) members.push([reference, this.#text(this.#pick(['o-1', '12.5', '1', 'true']))]);
    if (this.#chance(0.3)) members.push(['unit', this.#text(this.#pick(['GB', '5', 'größe']))]);
    if (this.#chance(0.4)) {
      const value = this.#chance(0.5) ? this.#number() : JSON.stringify(this.#pick(LOOK_LIKE_NUMBERS));
      members.push(['value', value]);
    }
    return members;
  }

  #metadata(special: readonly string[]): string {
    const members: [string, string][] = [];
    for (const name of special) if (this.#chance(0.25)) members.push([name, this.#special(name)]);
    const names = special.length > COLUMNS.length ? NAMES : [...NAMES, ...FIELDS, ...FIELDS];
    for (let i = this.#int(6); i > 0; i--) {
      members.push([this.#chance(0.6) ? this.#pick(COMMON_NAMES) : this.#pick(names), this.#value(3)]);
    }
    return this.#object(members);
  }

  /** Of a field that is checked. */
  #special(name: string): string {
    if (this.#chance(0.15)) return 'null';
    switch (name) {
      case 'latencyMs':
        return this.#pick([
          '0',
          '-0',
          '12',
          '0.1',
          '0.30000000000000004',
          '1e-7',
          '5e-324',
          '123456789.01234567',
          '1e9',
          '2e-19',
          '5e-19',
          '0.10000000000000000001',
        ]);
      case 'tokens':
      case 'inputTokens':
      case 'outputTokens':
        return this.#pick(['0', '1', '5', '100', '10000000000', '1e2']);
      case 'value':
        return this.#chance(0.5) ? this.#number() : JSON.stringify(this.#pick(LOOK_LIKE_NUMBERS));
      default:
        return this.#text(this.#pick(['pro', '12.5', '1', 'größe', "it's", 'true', '1e3']));
    }
  }

  #value(levels: number): string {
    const roll = this.#random();
    if (levels > 0 && roll < 0.12) {
      return this.#object(
        Array.from({ length: this.#int(4) }, () => [this.#name(), this.#value(levels - 1)]),
      );
    }
    if (levels > 0 && roll < 0.26) {
      return `[${Array.from({ length: this.#int(4) }, () => this.#value(levels - 1)).join(this.#pick([',', ' , ']))}]`;
    }
    return this.#scalar();
  }

  #scalar(): string {
    const roll = this.#random();
    if (roll < 0.35) return this.#number();
    if (roll < 0.6) return this.#text(this.#pick(LOOK_LIKE_NUMBERS));
    if (roll < 0.8) return this.#text(this.#pick(TEXTS));
    if (roll < 0.84) return this.#text(this.#pick(LONG_TEXTS));
    return this.#pick(['true', 'false', 'null']);
  }

  /** Of those known to be awkward, or any. */
  #number(): string {
    if (this.#chance(0.6)) return this.#pick(NUMBERS);
    const digits = (most: number) =>
      Array.from({ length: 1 + this.#int(most) }, () => this.#int(10)).join('');
    const whole = digits(this.#pick([1, 3, 20, 25])).replace(/^0+(?=\d)/, '');
    const fraction = this.#chance(0.6) ? `.${digits(this.#pick([2, 17, 18, 25]))}` : '';
    const exponent = this.#chance(0.3)
      ? `${this.#pick(['e', 'E'])}${this.#pick(['', '+', '-'])}${this.#int(30)}`
      : '';
    return `${this.#chance(0.3) ? '-' : ''}${whole}${fraction}${exponent}`;
  }

  /** JSON of a text, some of its characters escaped that need not be. */
  #text(text: string): string {
    const json = JSON.stringify(text);
    if (!this.#chance(0.2)) return json;
    const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
    const written = (char: string) =>
      this.#chance(0.5) ? char.split('').map(escaped).join('') : JSON.stringify(char).slice(1, -1);
    return `"${[...text].map(written).join('')}"`;
  }

  /** A name may come twice: the last one counts. */
  #object(members: readonly (readonly [string, string])[]): string {
    const blank = this.#chance(0.2) ? '\n ' : '';
    return `{${members.map(([name, value]) => `${blank}${this.#text(name)}:${blank}${value}`).join(',')}}`;
  }

  #name(): string {
    return this.#pick(this.#chance(0.6) ? COMMON_NAMES : [...NAMES, ...COLUMNS, ...FIELDS]);
  }

  #index(): number {
    return this.#pick([
      0,
      1,
      2,
      -1,
      -2,
      -3,
      2_147_483_647,
      2_147_483_648,
      -2_147_483_649,
      Number.MAX_SAFE_INTEGER,
      -Number.MAX_SAFE_INTEGER,
    ]);
  }

  #time(): string {
    const ms = new Date(CENTRE_MS + this.#int(60_000)).toISOString().slice(0, -1);
    return `${ms}${String(this.#int(1_000)).padStart(3, '0')}Z`;
  }

  #uuid(): string {
    return `00000000-0000-4000-8000-${String(++this.#ids).padStart(12, '0')}`;
  }

  #chance(share: number): boolean {
    return this.#random() < share;
  }

  #int(below: number): number {
    return Math.floor(this.#random() * below);
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#int(from.length)]!;
  }
}
