/** A metric as docs/telemetry.md lists it. */
export interface DocumentedMetric {
  name: string;
  type: string;
  labels: string[];
}

/** Reads the table of metrics. @throws when a row lacks its unit, scope or meaning. */
export function readMetricTable(markdown: string): DocumentedMetric[] {
  const rows = [...markdown.matchAll(/^\| `([a-z_0-9]+)` \| (counter|gauge|histogram) \|(.*)\|$/gm)];
  return rows.map(([, name, type, rest]) => {
    const [labels = '', ...others] = rest!.split(' | ').map((cell) => cell.trim());
    if (others.length !== 3 || others.includes('')) throw new Error(`docs/telemetry.md: the row of ${name}`);
    return { name: name!, type: type!, labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label!) };
  });
}

/** The names that its samples have in Prometheus. */
export function sampleNames({ name, type }: DocumentedMetric): string[] {
  return type === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => name + suffix) : [name];
}
