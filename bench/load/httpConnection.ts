import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** @param status 0 when the connection broke before the answer was whole. */
export type OnAnswer = (status: number, body: Buffer) => void;

const HEAD_END = '\r\n\r\n';
const LAST_CHUNK = Buffer.from('\r\n0\r\n\r\n');

/**
 * One keep-alive HTTP/1.1 connection with one request at a time, on a bare socket: a client that parses no more
 * than it needs leaves the processor to the server.
 */
export class HttpConnection {
  private readonly socket: Socket;
  private onAnswer: OnAnswer | undefined;
  private pieces: Buffer[] = [];
  private received = 0;
  /** Where the body begins; -1 until the head is whole. */
  private bodyAt = -1;
  /** Bytes of the whole answer; -1 when it comes in chunks. */
  private total = 0;
  private status = 0;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data) => this.take(data));
    socket.on('error', () => undefined);
    socket.on('close', () => this.settle(0, Buffer.alloc(0)));
  }

  static async open(host: string, port: number): Promise<HttpConnection> {
    const socket = connect({ host, port, noDelay: true });
    await once(socket, 'connect');
    return new HttpConnection(socket);
  }

  send(request: Buffer, onAnswer: OnAnswer): void {
    this.onAnswer = onAnswer;
    if (this.socket.destroyed) this.settle(0, Buffer.alloc(0));
    else this.socket.write(request);
  }

  close(): void {
    this.socket.destroy();
  }

  private take(data: Buffer): void {
    this.pieces.push(data);
    this.received += data.length;
    if (this.bodyAt < 0) this.readHead();
    if (this.bodyAt < 0) return;
    if (this.total >= 0 ? this.received >= this.total : this.lastChunkIsThere(data)) {
      const answer = this.whole();
      this.settle(this.status, answer.subarray(this.bodyAt));
    }
  }

  private readHead(): void {
    const answer = this.whole();
    const end = answer.indexOf(HEAD_END);
    if (end < 0) return;
    const head = answer.toString('latin1', 0, end);
    this.status = Number(head.slice(9, 12));
    this.bodyAt = end + HEAD_END.length;
    const length = /\r\ncontent-length: *(\d+)/i.exec(head);
    this.total = length ? this.bodyAt + Number(length[1]) : this.status === 204 ? this.bodyAt : -1;
  }

  private lastChunkIsThere(data: Buffer): boolean {
    const tail = data.length >= LAST_CHUNK.length ? data : this.whole();
    return tail.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK);
  }

  private whole(): Buffer {
    if (this.pieces.length > 1) this.pieces = [Buffer.concat(this.pieces)];
    return this.pieces[0]!;
  }

  private settle(status: number, body: Buffer): void {
    const { onAnswer } = this;
    this.onAnswer = undefined;
    this.pieces = [];
    this.received = 0;
    this.bodyAt = -1;
    onAnswer?.(status, body);
  }
}
