import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseAllDocuments } from 'yaml';

/** Any object of Kubernetes. What is in it is checked by `schemaFaults`. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  // biome-ignore lint/suspicious/noExplicitAny: one type for all kinds
  [field: string]: any;
}

const BUILDERS = [
  ['kustomize', 'build'],
  ['kubectl', 'kustomize'],
] as const;

/** What builds kustomizations on this machine, or null. */
export const kustomize =
  BUILDERS.find(([program]) => spawnSync(program, ['version', '--help']).status === 0) ?? null;

/** @throws {Error} with what kustomize says. */
export function buildKustomization(dir: string): Manifest[] {
  if (!kustomize) throw new Error('neither kustomize nor kubectl is installed');
  const [program, command] = kustomize;
  const { status, stdout, stderr } = spawnSync(program, [command, dir], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${command} ${dir}: ${stderr}`);
  return parseManifests(stdout);
}

/** @throws {Error} where the text is no YAML. */
export function parseManifests(text: string): Manifest[] {
  return parseAllDocuments(text, { merge: false }).map((document) => {
    if (document.errors[0]) throw document.errors[0];
    return document.toJS() as Manifest;
  });
}

/**
 * Holds manifests against the types made from the Kubernetes API description, strictly: fields that the API does not
 * know, required ones that are missing, and values of another type.
 *
 * @returns a line per fault, with the kind and the name of the object.
 */
export async function schemaFaults(manifests: Manifest[]): Promise<string[]> {
  const require = createRequire(import.meta.url);
  const types = dirname(require.resolve('kubernetes-types/package.json'));
  const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
  const dir = await mkdtemp(join(tmpdir(), 'tidemark-manifests-'));
  try {
    for (const manifest of manifests) {
      const { apiVersion, kind, metadata } = manifest;
      const from = `kubernetes-types/${moduleOf(apiVersion)}`;
      const source = `import type { ${kind} } from '${from}';\nexport const it: ${kind} = ${JSON.stringify(manifest, null, 1)};\n`;
      await writeFile(join(dir, `${kind}.${metadata.name}.ts`), source, { flag: 'wx' }); // two of a name are a fault
    }
    const compilerOptions = {
      ...{ strict: true, noEmit: true, skipLibCheck: true, types: [], lib: ['ES2023'] },
      ...{ module: 'ESNext', moduleResolution: 'bundler', paths: { 'kubernetes-types/*': [`${types}/*`] } },
    };
    await writeFile(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
    const args = [tsc, '-p', dir, '--pretty', 'false'];
    const output = await new Promise<string>((resolve, reject) => {
      execFile(process.execPath, args, { cwd: dir }, (error, stdout, stderr) => {
        if (error && stdout === '') reject(new Error(stderr || error.message));
        else resolve(stdout);
      });
    });
    return output.split('\n').filter((line) => /^\S+\.ts\(/.test(line));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** `networking.k8s.io/v1` is in `networking/v1`, and `v1` in `core/v1`. */
function moduleOf(apiVersion: string): string {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['core', apiVersion];
  return `${group!.replace(/\.k8s\.io$/, '')}/${version}`;
}
