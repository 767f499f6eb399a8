import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stablePort } from '../support/stablePort.ts';
import { ask } from './httpRequest.ts';

const MAIN = fileURLToPath(new URL('../../dist/faces/service/main.js', import.meta.url));
const EXIT_WITH_PARENT = new URL('../../bench/support/exitWithParent.mjs', import.meta.url).href;
const READY_MS = 30_000;

/** The service as an operator runs it: a process of its own, on a port that it keeps when it is started again. */
export class ServiceProcess {
  readonly port: number;
  private readonly env: Record<string, string>;
  private readonly logFile: string;
  private child!: ChildProcess;

  private constructor(port: number, env: Record<string, string>, logFile: string) {
    this.port = port;
    this.env = { ...env, PORT: String(port) };
    this.logFile = logFile;
  }

  /** Starts one, and resolves when it is ready. */
  static async start(env: Record<string, string>, logFile: string): Promise<ServiceProcess> {
    const service = new ServiceProcess(await stablePort(), env, logFile);
    service.spawn();
    await service.ready();
    return service;
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.child.exitCode === null && this.child.signalCode === null ? this.child.pid : undefined;
  }

  /** The last lines of its log. */
  log(lines: number): string {
    return readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  }

  /** Starts it, again, where it was. */
  spawn(): void {
    const log = openSync(this.logFile, 'a');
    this.child = fork(MAIN, {
      execArgv: ['--enable-source-maps', '--import', EXIT_WITH_PARENT],
      env: { PATH: process.env.PATH, ...this.env },
      stdio: ['ignore', log, log, 'ipc'],
    });
    closeSync(log);
  }

  async ready(): Promise<void> {
    const deadline = Date.now() + READY_MS;
    for (;;) {
      const { outcome } = await ask(this.port, '/readyz', { timeoutMs: 1_000 });
      if (outcome === 200) return;
      if (this.pid === undefined || Date.now() > deadline) {
        throw new Error(`the service does not become ready (${outcome}):\n${this.log(10)}`);
      }
      await sleep(25);
    }
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    if (this.pid === undefined) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
  }

  /**
   * Ends it in order (SIGTERM).
   *
   * @param patienceMs after which it is killed.
   * @returns its exit code, or the signal that ended it.
   */
  async terminate(patienceMs: number): Promise<number | string> {
    const exited = once(this.child, 'exit');
    const kill = setTimeout(() => this.child.kill('SIGKILL'), patienceMs);
    this.child.kill('SIGTERM');
    const [code, signal] = await exited;
    clearTimeout(kill);
    return code ?? signal;
  }
}
