import { execFile } from 'node:child_process';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { OwnCluster } from '../support/ownCluster.ts';

const run = promisify(execFile);
export const DISK_MB = 192;

/** Why a fault cannot be had on this machine. */
export class NotPossible extends Error {}

/** A part of a server's data directory on a small disk of its own. */
export class SmallDisk {
  private readonly folder: string;
  private readonly ballast: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.ballast = join(folder, 'ballast');
  }

  /** Moves the part there. The server is stopped meanwhile. @throws {NotPossible} where we may not mount. */
  static async under(cluster: OwnCluster, part: 'base' | 'pg_wal'): Promise<SmallDisk> {
    const folder = join(cluster.dataDir, part);
    const aside = `${folder}.aside`;
    const { uid, gid } = await stat(folder);
    await cluster.stop('fast');
    await rename(folder, aside);
    await mkdir(folder);
    const options = `size=${DISK_MB}m,mode=0700,uid=${uid},gid=${gid}`;
    await run('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder]).catch((error) => {
      throw new NotPossible(`a small disk cannot be mounted: ${error.stderr ?? error.message}`.trim());
    });
    const disk = new SmallDisk(folder);
    await run('cp', ['-a', `${aside}/.`, folder]);
    await rm(aside, { recursive: true });
    await cluster.start();
    return disk;
  }

  /** Takes all the room that is left. */
  async fill(): Promise<void> {
    const file = await open(this.ballast, 'w');
    try {
      for (const size of [2 ** 20, 2 ** 12]) {
        const block = Buffer.alloc(size);
        while ((await file.write(block).catch(full))?.bytesWritten === size);
      }
    } finally {
      await file.close();
    }
  }

  /** Somebody makes room. */
  async clear(): Promise<void> {
    await rm(this.ballast, { force: true });
  }

  async unmount(): Promise<void> {
    await run('umount', ['-l', this.folder]);
  }
}

function full(error: NodeJS.ErrnoException): null {
  if (error.code !== 'ENOSPC') throw error;
  return null;
}
