/** A line to keep proxies from taking the connection for dead. */
const HEARTBEAT = Buffer.from(': alive\n\n');

/** A message of an event stream (HTML, §9.2.5). @param data one line. */
export function frame(event: string, id: string | null, data: string): Uint8Array {
  return Buffer.from(`${id === null ? '' : `id: ${id}\n`}event: ${event}\ndata: ${data}\n\n`);
}

/**
 * An event stream to one client. A reader that is slower than what is sent misses messages: one is with whoever reads,
 * one waits, and a newer one takes its place.
 *
 *   open ──► ended (by us: a last message, then the end)
 *     └────► gone (by the client)
 */
export class EventStream {
  readonly body: ReadableStream<Uint8Array>;
  private controller!: ReadableStreamDefaultController<Uint8Array>;
  private waiting: Uint8Array | null = null;
  private open = true;

  /** @param onGone told when the client has gone. @param onDropped when a message is not sent for a newer one. */
  constructor(
    onGone: () => void,
    private readonly onDropped: () => void,
  ) {
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.controller = controller;
        },
        pull: () => this.sendWaiting(),
        cancel: () => {
          this.open = false;
          onGone();
        },
      },
      new CountQueuingStrategy({ highWaterMark: 1 }),
    );
  }

  send(message: Uint8Array): void {
    if (!this.open) return;
    if (this.controller.desiredSize! > 0) {
      this.controller.enqueue(message);
      return;
    }
    if (this.waiting !== null) this.onDropped();
    this.waiting = message;
  }

  heartbeat(): void {
    if (this.open && this.waiting === null && this.controller.desiredSize! > 0)
      this.controller.enqueue(HEARTBEAT);
  }

  /** @param message the last one. */
  end(message: Uint8Array): void {
    if (!this.open) return;
    this.open = false;
    this.waiting = null;
    this.controller.enqueue(message);
    this.controller.close();
  }

  private sendWaiting(): void {
    const { waiting } = this;
    if (waiting === null || !this.open) return;
    this.waiting = null;
    this.controller.enqueue(waiting);
  }
}
