import { readdirSync, readFileSync } from 'node:fs';
import type pg from 'pg';

/*
 * Processor time and memory of processes on this machine, from /proc (Linux; elsewhere nothing is known: null).
 */

/** Clock ticks per second of /proc/<pid>/stat: 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export interface Usage {
  /** Processor time over wall time: 1 is one core, all the time. */
  serviceCores: number | null;
  postgresCores: number | null;
  /** What is left of the machine's time: kernel, strangers, and what a hypervisor took. Near 0 on a quiet machine. */
  otherCores: number | null;
  /** Largest resident size of the service since it began, in MB (10^6 bytes). */
  peakRssMb: number | null;
}

/** Meters one service and the PostgreSQL behind it; what this process uses itself is nobody's. */
export class Meter {
  private readonly pids: { service: number | null; postmaster: number | null };
  private from: ReturnType<Meter['read']> | undefined;

  constructor(pids: { service: number | null; postmaster: number | null }) {
    this.pids = pids;
  }

  begin(): void {
    this.from = this.read();
  }

  end(): Usage {
    const to = this.read();
    const from = this.from!;
    const seconds = (to.at - from.at) / 1_000;
    const cores = (before: number | null, after: number | null) =>
      before === null || after === null ? null : (after - before) / seconds;
    const serviceCores = cores(from.service, to.service);
    const postgresCores = cores(from.postgres, to.postgres);
    const own = this.pids.service === process.pid ? 0 : cores(from.own, to.own)!;
    const all = cores(from.all, to.all);
    return {
      serviceCores,
      postgresCores,
      otherCores: all === null ? null : all - own - (serviceCores ?? 0) - (postgresCores ?? 0),
      peakRssMb: this.pids.service === null ? null : peakRssMb(this.pids.service),
    };
  }

  private read() {
    const { service, postmaster } = this.pids;
    const { user, system } = process.cpuUsage();
    return {
      at: performance.now(),
      all: machineCpuSeconds(),
      own: (user + system) / 1_000_000,
      service: service === null ? null : cpuSeconds(service),
      postgres: postmaster === null ? null : postgresCpuSeconds(postmaster),
    };
  }
}

/** Seconds that the processors of this machine were not idle, stolen time included. */
function machineCpuSeconds(): number | null {
  const line = /^cpu +(.+)$/m.exec(readProc('', 'stat'))?.[1];
  if (line === undefined) return null;
  const [user, nice, system, , , irq, softirq, steal] = line.split(' ').map(Number);
  return (user! + nice! + system! + irq! + softirq! + steal!) / TICKS_PER_SECOND;
}

/** Seconds a process and its threads have run. */
export function cpuSeconds(pid: number): number | null {
  const stat = readStat(pid);
  return stat && (stat.utime + stat.stime) / TICKS_PER_SECOND;
}

/** Seconds that a PostgreSQL server has run: its postmaster, those it has waited for, and those that live. */
export function postgresCpuSeconds(postmaster: number): number | null {
  const own = readStat(postmaster);
  if (!own) return null;
  let ticks = own.utime + own.stime + own.childTicks;
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? readStat(Number(name)) : null;
    if (stat?.parent === postmaster) ticks += stat.utime + stat.stime;
  }
  return ticks / TICKS_PER_SECOND;
}

/** Largest resident size (VmHWM) so far, in MB. */
export function peakRssMb(pid: number): number | null {
  const kib = /^VmHWM:\s+(\d+) kB/m.exec(readProc(pid, 'status'))?.[1];
  return kib === undefined ? null : (Number(kib) * 1_024) / 1_000_000;
}

/** The postmaster behind a connection; null when it is not a process of this machine. */
export async function findPostmaster(client: pg.Client): Promise<number | null> {
  const { rows } = await client.query('select pg_backend_pid() as pid, current_database() as name');
  const { pid, name } = rows[0] as { pid: number; name: string };
  const title = readProc(pid, 'cmdline');
  if (!title.startsWith('postgres:') || !title.includes(` ${name} `)) return null;
  return readStat(pid)?.parent ?? null;
}

interface Stat {
  parent: number;
  utime: number;
  stime: number;
  /** Of children that have ended and were waited for. */
  childTicks: number;
}

/** proc(5): the fields after the command name, which ends at the last ')'. */
function readStat(pid: number): Stat | null {
  const text = readProc(pid, 'stat');
  if (text === '') return null;
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [utime, stime, cutime, cstime] = fields.slice(11, 15).map(Number);
  return { parent: Number(fields[1]), utime: utime!, stime: stime!, childTicks: cutime! + cstime! };
}

/** @param pid '' for the files of the whole machine. */
function readProc(pid: number | '', file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
