import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const integration = [
  'test/integration/**/*.test.ts',
  'test/faults/**/*.test.ts',
  'test/oracle/**/*.test.ts',
  'test/hostile/**/*.test.ts',
  'test/reliability/**/*.test.ts',
];
/** Tests in which the rollup engine has no part: they run once. */
const services = [
  'test/integration/**/*.contract.test.ts',
  'test/integration/{administration,alertRules,auditLog,delivery,description,endpoints}.test.ts',
  'test/integration/{httpHygiene,keys,limits,queryValidation,receiverInDocs,subscriptions,telemetryLogs}.test.ts',
  'test/faults/{deliveryKills,limitsRedis,queueAway,redisFaults}.test.ts',
];
/** Those that take longest, which would otherwise be left for the end, one worker idle. */
const LONGEST = /\/test\/(oracle|reliability|process)\/|\/retention\.test\.ts$/;

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return [...sorted].sort((a, b) => Number(LONGEST.test(b.moduleId)) - Number(LONGEST.test(a.moduleId)));
  }
}

const limits = { testTimeout: 30_000, hookTimeout: 60_000 };

export default defineConfig({
  test: {
    globalSetup: ['test/support/globalSetup.ts'],
    pool: 'forks',
    maxWorkers: 2,
    teardownTimeout: 30_000,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{src,deploy,artillery,test/project}/**/*.test.ts'],
          exclude: ['**/node_modules/**'],
          isolate: false, // they leave nothing behind
          ...limits,
        },
      },
      {
        test: {
          name: 'services',
          include: [...services, 'test/process/**/*.test.ts'],
          provide: { engine: 'postgres' },
          ...limits,
        },
      },
      ...(['postgres', 'timescale'] as const).map((engine) => ({
        test: { name: engine, include: integration, exclude: services, provide: { engine }, ...limits },
      })),
    ],
  },
});
