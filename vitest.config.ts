import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const integration = [
  'test/integration/**/*.test.ts',
  'test/faults/**/*.test.ts',
  'test/oracle/**/*.test.ts',
  'test/hostile/**/*.test.ts',
  'test/reliability/**/*.test.ts',
  'test/browser/**/*.test.ts',
];
/** Tests in which the rollup engine has no part: they run once. */
const services = [
  'test/integration/**/*.contract.test.ts',
  'test/integration/access/{auditLog,keys,limits,security}.test.ts',
  'test/integration/faces/{administeredNumbers,administration,clientBodies,decodedText,description}.test.ts',
  'test/integration/faces/{halfClosed,httpHygiene,loadScenarios,metersFile,queryValidation,seeds}.test.ts',
  'test/integration/faces/{telemetryLogs,tracing,unnamedTypes}.test.ts',
  'test/integration/faces/clients/{clientKeys,ingestOnly,lago,openMeter,stripe}.test.ts',
  'test/integration/intake/{cloudEvents,importMeaning,otlpEmitters,redisStream,rejectedEvents}.test.ts',
  'test/integration/intake/{timeForms,validation}.test.ts',
  'test/integration/outbound/{alertRules,delivery,endpoints,receiverInDocs,secretRotation,subscriptions}.test.ts',
  'test/integration/outbound/unknownRules.test.ts',
  'test/browser/{hostile,keyboard,shell,size}.test.ts',
  'test/faults/{databaseAway,deliveryKills,limitsRedis,otlpAway,queueAway,redisFaults}.test.ts',
];
/** Those that take longest, which would otherwise be left for the end, one worker idle. */
const LONGEST = /\/test\/(oracle|reliability|process)\/|\/(queueAway|retention)(\.long)?\.test\.ts$/;
/** The longest of all, which the other workers have finished before it ends. */
const FIRST = /\/oracle\.long\.test\.ts$/;
/** A worker goes on with files of its own project only, so these stay together. */
const PROJECTS = ['timescale', 'services', 'postgres', 'unit'];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ project, moduleId }: TestSpecification) =>
      FIRST.test(moduleId) ? -1 : 2 * PROJECTS.indexOf(project.name) + 1 - Number(LONGEST.test(moduleId));
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

/** `npm run test:long` (mode `long`) runs what repeats for confidence, and only that: `NAME.long.test.ts`. */
const isLong = (patterns: string[]) =>
  patterns.map((pattern) => pattern.replace(/\.test\.ts$/, '.long.test.ts'));

export default defineConfig(({ mode }) => {
  const long = mode === 'long';
  const chosen = (patterns: string[]) => (long ? isLong(patterns) : patterns);
  const exclude = ['**/node_modules/**', ...(long ? [] : ['**/*.long.test.ts'])];
  // A limit is for what hangs: machines differ by far more than a test may, and .ci/run bounds the whole.
  const limits = { testTimeout: 600_000, hookTimeout: 300_000, chaiConfig: { truncateThreshold: 1_500 } }; // lists of faults are told
  // Files of a project share their modules: importing the service anew for each took a fifth of all the time.
  const shared = { ...limits, isolate: false };
  return {
    test: {
      globalSetup: ['test/support/globalSetup.ts'],
      pool: 'forks' as const,
      maxWorkers: 3, // they wait for servers much of their time
      teardownTimeout: 30_000,
      sequence: { sequencer: LongestFirst },
      projects: [
        {
          test: {
            name: 'unit',
            include: chosen(['{src,deploy,artillery,test/project}/**/*.test.ts']),
            exclude,
            ...shared,
          },
        },
        {
          test: {
            name: 'services',
            include: chosen([...services, 'test/process/**/*.test.ts']),
            exclude,
            provide: { engine: 'postgres' as const },
            ...shared,
          },
        },
        ...(['postgres', 'timescale'] as const).map((engine) => ({
          test: {
            name: engine,
            include: chosen(integration),
            exclude: [...exclude, ...chosen(services)],
            provide: { engine },
            ...shared,
          },
        })),
      ],
    },
  };
});
