import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { readMetricTable, sampleNames } from '../test/support/metricTable.ts';

const here = import.meta.dirname;
const read = (file: string) => readFileSync(join(here, file), 'utf8');

const documented = readMetricTable(read('../docs/telemetry.md'));
/** Names of samples, each with its labels. */
const known = new Map(
  documented.flatMap((metric) => {
    const { labels, type } = metric;
    return sampleNames(metric).map(
      (name) => [name, type === 'histogram' ? [...labels, 'le'] : labels] as const,
    );
  }),
).set('up', []);
/** What Prometheus adds when it scrapes. */
const SCRAPED = ['job', 'instance'];

interface Rule {
  alert: string;
  expr: string;
  for?: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
}
const rules: Rule[] = parse(read('prometheus/alerts.yml')).groups.flatMap(
  ({ rules }: { rules: Rule[] }) => rules,
);

const promtool = (...args: string[]) =>
  execFileSync('promtool', args, { cwd: join(here, 'prometheus'), encoding: 'utf8', stdio: 'pipe' });
const installed = (() => {
  try {
    promtool('--version');
    return true;
  } catch {
    return false;
  }
})();
if (!installed) console.warn('promtool IS NOT INSTALLED: the alert rules are read, and NOT RUN.');

/** The metrics an expression selects: words that are no function, keyword, label or text. */
function selected(expression: string): { name: string; labels: string[] }[] {
  const bare = expression.replace(/"[^"]*"/g, '""').replace(/\[[^\]]*\]/g, '');
  const grouped = bare.replace(/\b(by|without|on|ignoring)\s*\([^)]*\)/g, '');
  return [...grouped.matchAll(/\b([a-z_][\w:]*)\b(?!\s*\()(\{[^}]*\})?/g)]
    .filter(([word]) => !['or', 'and', 'unless', 'bool'].includes(word))
    .filter(({ index }) => !insideBraces(grouped, index))
    .map(([, name, matchers = '']) => ({
      name: name!,
      labels: [...matchers.matchAll(/(\w+)\s*[=!]/g)].map(([, label]) => label!),
    }));
}

function insideBraces(text: string, index: number): boolean {
  return text.lastIndexOf('{', index) > text.lastIndexOf('}', index);
}

/** What of an expression no instance has. */
function unknownIn(expression: string): string[] {
  const metrics = selected(expression);
  if (metrics.length === 0) return [`nothing is selected by ${expression}`];
  const grouped = [...expression.matchAll(/\bby\s*\(([^)]*)\)/g)].flatMap(([, list]) => list!.split(/,\s*/));
  return metrics.flatMap(({ name, labels }) => {
    const own = known.get(name);
    if (!own) return [name];
    return [...labels, ...grouped]
      .filter((label) => ![...own, ...SCRAPED].includes(label))
      .map((l) => `${name}{${l}}`);
  });
}

describe('what is looked for in expressions', () => {
  it('is every metric, and every label that it has not', () => {
    expect(selected('sum by (le) (rate(a_b{x="y{z}",k!~"v"}[5m])) / c > 0').map(({ name }) => name)).toEqual([
      'a_b',
      'c',
    ]);
    expect(unknownIn('rate(tidemark_nothing_total[5m])')).toEqual(['tidemark_nothing_total']);
    expect(unknownIn('tidemark_ready{job="tidemark",tenant="x"}')).toEqual(['tidemark_ready{tenant}']);
    expect(unknownIn('sum by (tenant) (tidemark_ready)')).toEqual(['tidemark_ready{tenant}']);
    expect(unknownIn('vector(1)')).not.toEqual([]);
    expect(known.size).toBeGreaterThan(100);
  });
});

describe('alerts', () => {
  it.each(rules.map((rule) => [rule.alert, rule] as const))(
    '%s is about metrics that exist',
    (_, { expr }) => {
      expect(unknownIn(expr)).toEqual([]);
    },
  );

  it('each say how grave they are, what is the matter, and where the runbook goes on', () => {
    const sections = [...read('../docs/runbook.md').matchAll(/^## (Tidemark\w+)$/gm)].map(
      ([, name]) => name!,
    );
    expect(rules.length).toBeGreaterThan(20);
    for (const { alert, labels, annotations } of rules) {
      expect(['critical', 'warning']).toContain(labels.severity);
      expect(annotations).toEqual({
        summary: expect.stringMatching(/\S/),
        description: expect.stringMatching(/\.$/),
        runbook_url: `docs/runbook.md#${alert.toLowerCase()}`,
      });
    }
    expect(sections.sort()).toEqual(rules.map(({ alert }) => alert).sort());
  });

  it('each have a section that says what it means, how to see it, and what to do', () => {
    const [, ...sections] = read('../docs/runbook.md').split(/^## (?=Tidemark)/m);
    for (const section of sections) {
      const [name] = section.split('\n');
      for (const part of ['**Means.**', '**See.**', '**Do.**']) {
        expect([name, section.includes(part)]).toEqual([name, true]);
      }
    }
  });

  it('are explained by metrics that exist', () => {
    const named = [
      ...read('../docs/runbook.md').matchAll(/\b(tidemark|nodejs|process|http_server)_\w+/g),
    ].map(([name]) => name);
    expect(named.length).toBeGreaterThan(40);
    const bases = new Set([...known.keys(), ...documented.map(({ name }) => name)]);
    expect(named.filter((name) => !bases.has(name))).toEqual([]);
  });

  it('each have a test that sets them off, and one that does not', () => {
    const { tests }: { tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[] } = parse(
      read('prometheus/alerts.test.yml'),
    );
    const cases = tests.flatMap(({ alert_rule_test }) => alert_rule_test);
    for (const fires of [true, false]) {
      const names = cases.filter(({ exp_alerts }) => exp_alerts.length > 0 === fires);
      const alerts = new Set(names.map(({ alertname }) => alertname));
      expect([...alerts].sort()).toEqual(rules.map(({ alert }) => alert).sort());
    }
  });

  it.skipIf(!installed)('pass promtool: the configuration, the rules, and their tests', () => {
    expect(promtool('check', 'config', 'prometheus.yml')).toContain('valid prometheus config');
    expect(promtool('check', 'rules', 'alerts.yml')).toContain(`${rules.length} rules found`);
    expect(promtool('test', 'rules', 'alerts.test.yml')).toContain('SUCCESS');
  });
});

describe('the dashboard', () => {
  interface Panel {
    title: string;
    type: string;
    datasource?: { uid: string };
    targets?: { expr: string }[];
  }
  const { panels, templating, uid } = JSON.parse(read('grafana/dashboards/tidemark.json'));

  it('has a row for each part, and panels that ask for metrics that exist', () => {
    const rows = (panels as Panel[]).filter(({ type }) => type === 'row').map(({ title }) => title);
    expect(rows).toEqual([
      'Ingest',
      'Latency',
      'Closing',
      'Delivery',
      'Database',
      'Retention',
      'Meters',
      'Corrections',
      'Process',
    ]);
    for (const { title, type, targets } of panels as Panel[]) {
      if (type === 'row') continue;
      expect([title, targets!.length > 0]).toEqual([title, true]);
      for (const { expr } of targets!) expect([title, unknownIn(expr)]).toEqual([title, []]);
    }
  });

  it('shows every metric of our own', () => {
    const asked = new Set(
      (panels as Panel[])
        .flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => selected(expr)))
        .map(({ name }) => name),
    );
    const missing = documented
      .filter(({ name }) => name.startsWith('tidemark_') || name.startsWith('http_'))
      .filter((metric) => !sampleNames(metric).some((name) => asked.has(name)))
      .map(({ name }) => name);
    expect(missing).toEqual([]);
  });

  it('finds its data where the provisioning puts them', () => {
    const { datasources } = parse(read('grafana/provisioning/datasources/prometheus.yml'));
    const uids = new Set((panels as Panel[]).map(({ datasource }) => datasource?.uid).filter(Boolean));
    expect([...uids]).toEqual(datasources.map((source: { uid: string }) => source.uid));
    expect(templating.list[0].datasource.uid).toBe(datasources[0].uid);
    expect(uid).toBe('tidemark');
    expect(parse(read('prometheus/prometheus.yml')).scrape_configs[0].job_name).toBe('tidemark');
  });
});
