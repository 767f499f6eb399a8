import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

const ENGINE_ANSWER_MS = 5_000;
const PULL_MS = 120_000;
const CONTAINER_START_MS = 60_000;

export interface ContainerOptions {
  image: string;
  port: number;
  env?: Record<string, string>;
  command?: string[];
}

export interface Container {
  /** `host:port` of the port inside, as seen from here. */
  address: string;
  stop(): Promise<void>;
}

/** Whether a Docker engine answers and has the image. */
export async function hasImage(image: string): Promise<boolean> {
  return docker(['image', 'inspect', image], ENGINE_ANSWER_MS);
}

/** Whether a Docker engine answers and has got the image from its registry now. */
export async function pullImage(image: string): Promise<boolean> {
  return (await docker(['version'], ENGINE_ANSWER_MS)) && docker(['pull', '--quiet', image], PULL_MS);
}

/** Starts a container that ends with this process. @throws when its port does not open within a minute. */
export async function startContainer(options: ContainerOptions): Promise<Container> {
  // Ryuk is one more image to pull; what is started here is removed here.
  process.env.TESTCONTAINERS_RYUK_DISABLED ??= 'true';
  const { GenericContainer, Wait } = await import('testcontainers');
  const described = new GenericContainer(options.image)
    .withEnvironment(options.env ?? {})
    .withExposedPorts(options.port)
    .withWaitStrategy(Wait.forListeningPorts())
    .withStartupTimeout(CONTAINER_START_MS);
  if (options.command) described.withCommand(options.command);
  const container = await described.start();
  const onExit = () => spawnSync('docker', ['rm', '--force', '--volumes', container.getId()]);
  process.once('exit', onExit);
  return {
    address: `${container.getHost()}:${container.getMappedPort(options.port)}`,
    stop: async () => {
      process.off('exit', onExit);
      await container.stop({ timeout: 0 });
    },
  };
}

function docker(args: string[], timeout: number): Promise<boolean> {
  return run('docker', args, { timeout, killSignal: 'SIGKILL' }).then(
    () => true,
    () => false,
  );
}
