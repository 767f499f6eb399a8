import { Portal, Refused } from './ask.ts';
import { chartOf, endOf } from './chart.ts';
import { html } from './dom.ts';
import { type Figures, figuresOf, type Wish } from './figures.ts';
import { CSS } from './styles.ts';
import { tableOf } from './table.ts';
import { type Span, spanOf, timeTexts } from './times.ts';

const TAG = 'tidemark-usage';
/** What says from where this file came, while it is run. */
const SCRIPT = document.currentScript as HTMLScriptElement | null;
/** Between two looks, in s: by default, and at least. */
const REFRESH_S = 60;
const LEAST_REFRESH_S = 5;
/** After a failure that may pass, in s. */
const RETRY_S = 15;
/** Width before it is known, in px. */
const FIRST_WIDTH = 320;

/** What is shown at present. */
interface Shown {
  figures: Figures;
  wish: Wish;
  span: Span;
  /** ms since the epoch. */
  at: number;
}

/**
 * `<tidemark-usage token="tmp_…">`: the usage of the customer whose portal token it has, as a chart and a table.
 *
 * Attributes: `token`, `src`, `meter`, `measure`, `range` or `from` and `to`, `granularity`, `timezone`, `group-by`, `title`,
 * `refresh`, `theme`. Events: `tidemark-loaded` `{at}`; `tidemark-expired` `{code}`, where the token is good no more: whoever
 * sets `token` to a new one then has it go on.
 */
class TidemarkUsage extends HTMLElement {
  static readonly observedAttributes = [
    ...[
      'token',
      'src',
      'meter',
      'measure',
      'range',
      'from',
      'to',
      'granularity',
      'timezone',
      'group-by',
      'title',
    ],
    ...['refresh', 'lang'],
  ];

  private readonly figure = html('figure', { part: 'figure', role: 'group' });
  private secret: string | null = null;
  private shown: Shown | null = null;
  /** What is to be said in place of a chart, or beside one. */
  private message = '';
  private asking: AbortController | null = null;
  private timer = 0;
  /** It was due while nobody looked. */
  private overdue = false;
  private due = false;
  private width = FIRST_WIDTH;
  private tableOpen = false;
  private readonly resized = new ResizeObserver(([entry]) => {
    const width = Math.floor(entry?.contentRect.width ?? 0);
    if (width <= 0 || width === this.width) return;
    this.width = width;
    this.draw();
  });

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    const sheet = new CSSStyleSheet(); // which the policy of a host without 'unsafe-inline' lets be
    sheet.replaceSync(CSS);
    root.adoptedStyleSheets = [sheet];
    root.append(this.figure);
  }

  /** The portal token. Set here it is not to be seen in the document. */
  get token(): string | null {
    return this.secret ?? this.getAttribute('token');
  }

  set token(token: string | null) {
    this.secret = token;
    this.ask();
  }

  connectedCallback(): void {
    // A property that was set before this class was known stands in its way.
    if (Object.hasOwn(this, 'token')) {
      const { token } = this;
      delete (this as { token?: unknown }).token;
      this.secret = token;
    }
    this.resized.observe(this.figure);
    document.addEventListener('visibilitychange', this.lookAgain);
    this.ask();
  }

  disconnectedCallback(): void {
    this.resized.disconnect();
    document.removeEventListener('visibilitychange', this.lookAgain);
    this.rest();
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    if (before === after) return;
    if (name === 'token') this.secret = null;
    this.ask();
  }

  /** Asks anew, with all that is set by the end of the present task. */
  private ask(): void {
    if (this.due || !this.isConnected) return;
    this.due = true;
    queueMicrotask(() => {
      this.due = false;
      if (this.isConnected) void this.load();
    });
  }

  private rest(): void {
    this.asking?.abort();
    this.asking = null;
    clearTimeout(this.timer);
    this.overdue = false;
  }

  private readonly lookAgain = (): void => {
    if (document.visibilityState === 'visible' && this.overdue) this.ask();
  };

  private async load(): Promise<void> {
    this.rest();
    const token = this.token?.trim();
    if (!token) {
      this.shown = null;
      this.say('There is nothing to show yet.');
      return;
    }
    const asking = new AbortController();
    this.asking = asking;
    this.figure.setAttribute('aria-busy', 'true');
    if (!this.shown) this.draw();
    try {
      const wish = this.wish();
      const span = spanOf(
        {
          range: this.getAttribute('range'),
          from: this.getAttribute('from'),
          to: this.getAttribute('to'),
          granularity: this.getAttribute('granularity'),
        },
        wish.zone,
      );
      const figures = await figuresOf(new Portal(this.base(), token, asking.signal), wish, span);
      if (asking.signal.aborted) return;
      this.shown = { figures, wish, span, at: Date.now() };
      this.say('');
      this.wait(this.refreshSeconds());
      this.tell('tidemark-loaded', { at: new Date(this.shown.at) });
    } catch (error) {
      if (!asking.signal.aborted) this.fail(error);
    }
  }

  private fail(error: unknown): void {
    const { status, code, message, retryAfter } =
      error instanceof Refused
        ? error
        : { status: 400, code: 'invalid', message: String(error), retryAfter: null };
    if (status === 401) {
      this.shown = null; // whoever may no longer ask is shown no more
      this.say('This view has expired.');
      this.tell('tidemark-expired', { code });
    } else if (status === 0 || status === 429 || status >= 500) {
      this.say('The numbers cannot be reached now. Trying again.');
      this.wait(Math.max(retryAfter ?? 0, RETRY_S));
    } else {
      this.shown = null;
      this.say(status === 404 || status === 403 ? 'There is nothing to show here.' : message);
    }
  }

  /** Asks again after so many seconds, once the document is looked at; 0: never. */
  private wait(seconds: number): void {
    clearTimeout(this.timer);
    if (seconds === 0) return;
    this.timer = window.setTimeout(() => {
      if (document.visibilityState === 'visible') this.ask();
      else this.overdue = true;
    }, seconds * 1_000);
  }

  private tell(name: string, detail: object): void {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }

  private wish(): Wish {
    const groups = (this.getAttribute('group-by') ?? '').split(',').map((name) => name.trim());
    const zone = this.getAttribute('timezone') ?? 'UTC';
    return {
      meter: this.getAttribute('meter'),
      measure: this.getAttribute('measure') ?? 'calls',
      groupBy: groups.filter((name) => name !== ''),
      zone: zone === 'local' ? Intl.DateTimeFormat().resolvedOptions().timeZone : zone,
    };
  }

  /** Where the service is: `src`, else from where this script came. */
  private base(): string {
    const src = this.getAttribute('src');
    if (src !== null) return new URL(src, document.baseURI).href.replace(/\/+$/, '');
    const script = SCRIPT ?? document.querySelector<HTMLScriptElement>('script[src*="/console/embed.js"]');
    return new URL(script?.src ?? document.baseURI).origin;
  }

  private refreshSeconds(): number {
    const asked = Number(this.getAttribute('refresh') ?? REFRESH_S);
    if (!(asked > 0)) return 0;
    return Math.max(asked, LEAST_REFRESH_S);
  }

  private say(message: string): void {
    this.message = message;
    this.figure.setAttribute('aria-busy', 'false');
    this.draw();
  }

  private locale(): string | undefined {
    const lang = this.closest('[lang]')?.getAttribute('lang') ?? '';
    try {
      return Intl.getCanonicalLocales(lang)[0];
    } catch {
      return undefined;
    }
  }

  private draw(): void {
    const { shown, message } = this;
    const title = this.getAttribute('title') ?? shown?.figures.title ?? this.getAttribute('meter') ?? 'Usage';
    this.figure.setAttribute('aria-label', title);
    const head = html('header', {}, html('span', { part: 'title' }, title));
    const notice = html('p', { part: 'message', role: 'status' }, message);
    if (!shown) {
      if (message === '') notice.textContent = 'Loading…';
      this.replace([head, notice]);
      return;
    }
    const { figures, wish, span, at } = shown;
    const locale = this.locale();
    const from = Date.parse(span.from);
    const to = Math.max(span.to === null ? at : Date.parse(span.to), endOf(figures.rows), from + 1);
    const texts = timeTexts(locale, wish.zone, span.granularity, to - from);
    const total = figures.total ?? '–';
    head.append(html('p', { part: 'total' }, `${figures.totalName} `, html('b', {}, total)));
    const label = `${title}: ${figures.totalName.toLowerCase()} ${total}, from ${texts.long(from)}`;
    const parts: Node[] = [head];
    if (message !== '') parts.push(notice);
    if (figures.rows.length === 0) {
      parts.push(html('p', { part: 'message' }, 'Nothing in this time.'));
    } else {
      parts.push(...chartOf(figures, { width: this.width, locale, texts, from, to, label }));
      parts.push(this.table(figures, tableOf(figures, texts, `Numbers of ${title}`)));
    }
    if (figures.more) parts.push(html('p', { part: 'message' }, 'There is more than is shown here.'));
    const time = new Intl.DateTimeFormat(locale, {
      timeZone: wish.zone,
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
      hourCycle: 'h23',
    });
    parts.push(html('small', { part: 'age' }, `As of ${time.format(at)}, ${wish.zone}`));
    this.replace(parts);
  }

  /** Whoever is in the table, with the keyboard or in the middle of it, stays there. */
  private replace(parts: Node[]): void {
    const part = (name: string) => this.figure.querySelector<HTMLElement>(name);
    const focused = this.shadowRoot!.activeElement?.matches('summary') ? 'summary' : '.scroll';
    const held = this.shadowRoot!.activeElement !== null;
    const { scrollTop = 0, scrollLeft = 0 } = part('.scroll') ?? {};
    this.figure.replaceChildren(...parts);
    part('.scroll')?.scrollTo(scrollLeft, scrollTop);
    if (held) part(focused)?.focus({ preventScroll: true });
  }

  private table(figures: Figures, table: HTMLElement): HTMLElement {
    const count = figures.rows.length;
    const details = html(
      'details',
      { part: 'details' },
      html('summary', {}, `Numbers (${count})`),
      table,
    ) as HTMLDetailsElement;
    details.open = this.tableOpen;
    details.addEventListener('toggle', () => {
      this.tableOpen = details.open;
    });
    return details;
  }
}

if (!customElements.get(TAG)) customElements.define(TAG, TidemarkUsage);
