import type { Connection, Tap } from '../support/tcpProxy.ts';

/**
 * Where in the life of a writer's connection it is cut:
 * - `opening`: after so many bytes of its start, before the server has let it in;
 * - `sent`: after so many bytes of a batch have gone to the server;
 * - `answered`: after so many messages of the answer to a batch, the next one withheld;
 * - `unheard`: the whole batch has gone and the server has done it, but the message that says so is withheld;
 * - `done`: right after that message.
 */
export type Step = { opening: number } | { sent: number } | { answered: number } | 'unheard' | 'done';

/** What the writers call themselves, in the first message of a connection. */
const WRITER = 'tidemark ingest';
/** A message of the server: its type, then its length, which counts itself (PostgreSQL documentation, "Message Formats"). */
const HEADER = 5;
const READY_FOR_QUERY = 'Z'.charCodeAt(0);

/** Cuts the next writer's connection that comes to a given step. */
export class WriteCutter {
  private armed: { step: Step; reset: boolean; fired: () => void } | null = null;

  /** Resolves when a connection has been cut there; false when none came to it in time. */
  async cutAt(step: Step, reset: boolean, waitMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.armed = null;
        resolve(false);
      }, waitMs);
      this.armed = {
        step,
        reset,
        fired: () => {
          clearTimeout(timer);
          this.armed = null;
          resolve(true);
        },
      };
    });
  }

  readonly tapOn = (connection: Connection): Tap => {
    const { client, server } = connection;
    let writer = false;
    let opened = false;
    /** Bytes of the start or of the batch at hand, to the server. */
    let sent = 0;
    /** Messages of the answer at hand, to the client. */
    let answered = 0;
    let rest: Buffer = Buffer.alloc(0);

    const cut = () => {
      const { reset, fired } = this.armed!;
      connection.cut(reset);
      fired();
    };
    const limit = (): number => {
      const step = this.armed?.step;
      if (!writer || typeof step !== 'object') return Number.POSITIVE_INFINITY;
      if ('opening' in step) return opened ? Number.POSITIVE_INFINITY : step.opening;
      return 'sent' in step && opened ? step.sent : Number.POSITIVE_INFINITY;
    };
    const withheld = (type: number): boolean => {
      const step = this.armed?.step;
      if (!writer || !opened || step === undefined) return false;
      if (step === 'unheard') return type === READY_FOR_QUERY;
      return typeof step === 'object' && 'answered' in step && answered === step.answered;
    };

    return {
      toServer(data) {
        if (sent === 0 && !opened) writer = data.includes(WRITER);
        const room = limit() - sent;
        sent += data.length;
        if (room >= data.length) server.write(data);
        else if (room <= 0) cut();
        else server.write(data.subarray(0, room), cut);
      },
      toClient: (data) => {
        rest = rest.length > 0 ? Buffer.concat([rest, data]) : data;
        while (rest.length >= HEADER && rest.length > rest.readUInt32BE(1)) {
          const message = rest.subarray(0, rest.readUInt32BE(1) + 1);
          rest = rest.subarray(message.length);
          if (withheld(message[0]!)) return cut();
          client.write(message);
          answered++;
          if (message[0] !== READY_FOR_QUERY) continue;
          if (opened && writer && this.armed?.step === 'done') return cut();
          opened = true;
          sent = 0;
          answered = 0;
        }
      },
    };
  };
}
