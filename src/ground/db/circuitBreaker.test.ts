import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { CircuitBreaker } from './circuitBreaker.ts';

/** A database that answers, refuses, or says nothing until it is told to. */
class Patient {
  state: 'well' | 'dead' | 'silent' = 'well';
  probes = 0;
  private unanswered: { resolve(): void; reject(error: Error): void }[] = [];

  probe(): Promise<void> {
    this.probes++;
    if (this.state === 'well') return Promise.resolve();
    if (this.state === 'dead') return Promise.reject(new Error('refused'));
    return new Promise((resolve, reject) => this.unanswered.push({ resolve, reject }));
  }

  /** The probes without an answer run out of time. */
  timeOut(): void {
    for (const { reject } of this.unanswered.splice(0)) reject(new Error('no answer'));
  }
}

describe('a circuit breaker', () => {
  const stops: (() => void)[] = [];
  afterEach(() => {
    for (const stop of stops.splice(0)) stop();
  });

  const make = (intervalMs = 1_000_000) => {
    const patient = new Patient();
    const breaker = new CircuitBreaker({
      probe: () => patient.probe(),
      intervalMs,
      log: pino({ level: 'silent' }),
    });
    stops.push(() => breaker.stop());
    return { patient, breaker };
  };
  const opened = async (breaker: CircuitBreaker) => {
    while (!breaker.open) await sleep(1);
  };
  const closed = async (breaker: CircuitBreaker) => {
    while (breaker.open) await sleep(1);
  };

  it('probes when something is suspicious, and opens when that fails', async () => {
    const { patient, breaker } = make();
    breaker.start();
    await sleep(1);
    expect(patient.probes).toBe(1);
    patient.state = 'dead';
    breaker.assertClosed();
    breaker.suspect();
    await opened(breaker);
    expect(() => breaker.assertClosed()).toThrow(
      expect.objectContaining({ code: 'database_unavailable', retryAfterSeconds: 1 }),
    );
  });

  it('stays closed while a suspicion proves wrong', async () => {
    const { patient, breaker } = make();
    breaker.start();
    for (let i = 0; i < 10; i++) {
      breaker.suspect();
      await sleep(1);
    }
    expect(patient.probes).toBeGreaterThan(5);
    expect(breaker.trips).toBe(0);
  });

  it('believes what it hears elsewhere more than a probe that fails', async () => {
    const { patient, breaker } = make();
    const stream = new PassThrough();
    breaker.watch(stream);
    patient.state = 'silent';
    breaker.suspect();
    await sleep(2);
    stream.write('a row');
    await sleep(2);
    patient.timeOut();
    await sleep(2);
    expect(breaker.open).toBe(false);
    breaker.suspect();
    await sleep(2);
    patient.timeOut();
    await opened(breaker);
  });

  it('cuts what it watches when it opens, and takes the end of a connection as a reason to look', async () => {
    const { patient, breaker } = make();
    const [first, second] = [new PassThrough(), new PassThrough()];
    breaker.watch(first);
    breaker.watch(second);
    patient.state = 'dead';
    first.destroy();
    await opened(breaker);
    expect(second.destroyed).toBe(true);
  });

  it('closes with the first answer, also while earlier probes hang, and lets those go on that wait', async () => {
    const { patient, breaker } = make(5);
    breaker.start();
    patient.state = 'dead';
    await opened(breaker);
    patient.state = 'silent';
    const waiting = breaker.closedWithin(10_000);
    await sleep(600);
    patient.state = 'well';
    await closed(breaker);
    expect(await waiting).toBe(true);
    breaker.assertClosed();
    patient.timeOut(); // of before it was back
    await sleep(2);
    expect(breaker.open).toBe(false);
    expect(breaker.trips).toBe(1);
  });

  it('says when it has not closed in time, and holds nobody once it is stopped', async () => {
    const { patient, breaker } = make();
    patient.state = 'dead';
    breaker.suspect();
    await opened(breaker);
    expect(await breaker.closedWithin(10)).toBe(false);
    const waiting = breaker.closedWithin(1_000_000);
    breaker.stop();
    expect(await waiting).toBe(false);
    expect(await breaker.closedWithin(1_000_000)).toBe(false);
  });
});
