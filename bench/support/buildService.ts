import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Compiles the service that is measured into `dist/`. */
export function buildService(): void {
  execFileSync('npm', ['run', '--silent', 'build'], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: 'inherit',
  });
}
