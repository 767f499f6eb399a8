/** Bounds what is under way, in rows and bytes. A single larger piece is let in when there is nothing else. */
export class Room {
  private readonly bounds: { rows: number; bytes: number };
  private rows = 0;
  private bytes = 0;
  private pieces = 0;
  private freed: (() => void) | undefined;

  constructor(bounds: { rows: number; bytes: number }) {
    this.bounds = bounds;
  }

  /** Waits until there is room, and takes it. By one at a time. */
  async take(rows: number, bytes: number): Promise<void> {
    while (
      this.pieces > 0 &&
      (this.rows + rows > this.bounds.rows || this.bytes + bytes > this.bounds.bytes)
    ) {
      await new Promise<void>((resolve) => {
        this.freed = resolve;
      });
    }
    this.pieces++;
    this.rows += rows;
    this.bytes += bytes;
  }

  give(rows: number, bytes: number): void {
    this.pieces--;
    this.rows -= rows;
    this.bytes -= bytes;
    this.freed?.();
  }
}
