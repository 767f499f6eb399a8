import { writeJson } from '../../format/json.ts';
import { Table } from '../../parts/Table.tsx';
import { type Draft, measured } from './draft.ts';
import { lastName, nameOf, type SeenPath } from './paths.ts';

/** What the last events have, each to be measured, told apart by, or asked for. */
export function SeenPaths({
  paths,
  draft,
  change,
}: {
  paths: SeenPath[];
  draft: Draft;
  change(changes: Partial<Draft>): void;
}) {
  const { dimensions, filter } = draft;
  return (
    <Table
      label="What the last events have"
      rows={paths}
      id="path"
      columns={[
        { head: 'In the last events', cell: ({ path }) => <code>{path}</code> },
        {
          head: 'Such as',
          cell: ({ example }) => <code>{writeJson(example, 0).slice(0, 24)}</code>,
        },
        {
          head: 'Use it',
          cell: ({ path, example }) => (
            <>
              <button
                type="button"
                class="quiet"
                aria-pressed={draft.value === path}
                onClick={() => change(measured(draft, { path, example }))}
              >
                measure
              </button>
              <button
                type="button"
                class="quiet"
                disabled={draft.value === path}
                aria-pressed={dimensions.some((one) => one.path === path)}
                onClick={() =>
                  change({
                    dimensions: dimensions.some((one) => one.path === path)
                      ? dimensions.filter((one) => one.path !== path)
                      : [...dimensions, { name: nameOf(lastName(path)), path }],
                  })
                }
              >
                group by
              </button>
              <button
                type="button"
                class="quiet"
                onClick={() =>
                  change({
                    filter: [...filter, { path, operator: 'equals', value: writeJson(example, 0) }],
                  })
                }
              >
                only this
              </button>
            </>
          ),
        },
      ]}
    />
  );
}
