import { until } from './service.ts';

/** An event of a stream (HTML, §9.2.5). */
export interface StreamedEvent {
  event: string;
  /** The last id that was told, as a client would send it. */
  id: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the service says; the tests look into it
  data: any;
}

/** A client of an event stream, which takes what comes as it comes. */
export class StreamClient {
  readonly response: Response;
  readonly events: StreamedEvent[] = [];
  readonly comments: string[] = [];
  /** What it was told to wait before it connects again, in ms. */
  retryMs: number | undefined;
  ended = false;
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private lastId: string | undefined;

  constructor(response: Response) {
    this.response = response;
    this.reader = response.body!.getReader();
    void this.read();
  }

  /** Of a server that listens. @throws where there is no stream. */
  static async connect(url: string, headers: Record<string, string>): Promise<StreamClient> {
    const response = await fetch(url, { headers });
    if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
    return new StreamClient(response);
  }

  get id(): string | undefined {
    return this.lastId;
  }

  named(event: string): StreamedEvent[] {
    return this.events.filter((one) => one.event === event);
  }

  /** Every sample that has come, those of its history among them. */
  // biome-ignore lint/suspicious/noExplicitAny: see above
  samples(): any[] {
    return this.events.flatMap(({ event, data }) =>
      event === 'history' ? data.samples : event === 'sample' ? [data] : [],
    );
  }

  /** Waits for a sample that comes from now on, and for which `check` holds. */
  // biome-ignore lint/suspicious/noExplicitAny: see above
  async next(check: (sample: any) => boolean = () => true): Promise<any> {
    const from = this.events.length;
    const found = () =>
      this.events.slice(from).find(({ event, data }) => event === 'sample' && check(data))?.data;
    await until(() => found() !== undefined);
    return found();
  }

  async leave(): Promise<void> {
    await this.reader.cancel().catch(() => undefined);
  }

  private async read(): Promise<void> {
    const decoder = new TextDecoder();
    let text = '';
    try {
      for (;;) {
        const { done, value } = await this.reader.read();
        if (done) break;
        text += decoder.decode(value, { stream: true });
        const blocks = text.split('\n\n');
        text = blocks.pop()!;
        for (const block of blocks) this.take(block);
      }
    } catch {
      // It broke off, which is an end too.
    }
    this.ended = true;
  }

  private take(block: string): void {
    const fields = new Map<string, string>();
    for (const line of block.split('\n')) {
      const [, name, value] = /^([^:]*): ?(.*)$/.exec(line)!;
      if (name === '') this.comments.push(value!);
      else fields.set(name!, value!);
    }
    if (fields.has('retry')) this.retryMs = Number(fields.get('retry'));
    if (fields.has('id')) this.lastId = fields.get('id');
    const data = fields.get('data');
    if (data === undefined) return;
    this.events.push({ event: fields.get('event') ?? 'message', id: this.lastId, data: JSON.parse(data) });
  }
}
