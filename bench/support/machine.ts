import { arch, cpus, platform, release, totalmem } from 'node:os';

/** What the figures were measured on, without names of hosts or folders. */
export function machine(): Record<string, string> {
  const processors = cpus();
  return {
    processor: `${processors.length} × ${processors[0]?.model.trim() || 'unknown'}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    system: `${platform()} ${release()} ${arch()}`,
    node: process.version,
  };
}
