import { Link } from '../../address/Link.tsx';
import { go, link } from '../../address/place.ts';
import { useRange } from '../../address/range.ts';
import { ask } from '../../api/request.ts';
import { useAnswer } from '../../api/useAnswer.ts';
import { Act } from '../../parts/Act.tsx';
import { Field } from '../../parts/Field.tsx';
import { Page } from '../../parts/Page.tsx';
import { RangePicker } from '../../parts/RangePicker.tsx';
import { View } from '../../parts/View.tsx';
import { useSession } from '../../session/session.tsx';
import { About } from './About.tsx';
import { described, type Meter } from './meter.ts';
import { Numbers } from './Numbers.tsx';

/** One meter: what it is, how far its past is summed up, and its numbers. */
export function MeterDetail({ slug }: { slug: string }) {
  const session = useSession();
  const range = useRange('24h', 15_000);
  const question = { path: `/v1/meters/${encodeURIComponent(slug)}` };
  const answer = useAnswer<Meter>({ ...question, exact: true }, { everyMs: 15_000 });
  const meter = answer.data;
  return (
    <Page
      title={meter?.name ?? slug}
      sub={meter && described(meter)}
      actions={
        <>
          <Link to="meters">All meters</Link>
          <RangePicker range={range} />
          {meter && session.may('admin') && (
            <>
              <Act
                label="Rename"
                title={`Rename ${meter.name}`}
                action="Save"
                run={async (given) => {
                  const body = { name: given.get('name'), description: given.get('description') || null };
                  await ask({ ...question, method: 'PATCH', body });
                  answer.reload();
                }}
              >
                <Field label="Name">
                  <input name="name" required maxLength={256} defaultValue={meter.name} />
                </Field>
                <Field label="Description">
                  <textarea
                    name="description"
                    rows={3}
                    maxLength={1_024}
                    defaultValue={meter.description ?? ''}
                  />
                </Field>
              </Act>
              <Act
                label="Archive"
                title={`Archive ${meter.name}?`}
                action="Archive it"
                danger
                run={async () => {
                  await ask({ ...question, method: 'DELETE' });
                  go(link('meters'));
                  return `${meter.name} is archived.`;
                }}
              >
                <p>
                  It counts and answers no more, at once and for good, and <code>{slug}</code> is free for
                  another meter. Events stay: a meter that is made again counts them again.
                </p>
              </Act>
            </>
          )}
        </>
      }
    >
      {meter && <Numbers meter={meter} range={range} />}
      <View title="What it counts" question={question} answer={answer}>
        {(shown) => <About meter={shown} zone={range.zone} />}
      </View>
    </Page>
  );
}
