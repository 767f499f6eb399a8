import { Link } from '../../address/Link.tsx';
import { Badge } from '../../parts/Badge.tsx';
import { Bar } from '../../parts/Bar.tsx';
import { useSession } from '../../session/session.tsx';
import { type Rule, ruleText, type Standing, standingOf } from './rule.ts';

/** A customer, by its name where it has one; for a key that may look at it, a link. */
export function Customer({ customerId, name }: Pick<Standing, 'customerId' | 'name'>) {
  const { may } = useSession();
  const called = name ?? customerId;
  return (
    <>
      {may('read') ? <Link to={['customers', customerId]}>{called}</Link> : called}{' '}
      {name !== null && <code class="muted">{customerId}</code>}
    </>
  );
}

/** A rule, by its name where it has one. */
export const RuleLink = ({ rule }: { rule: Rule }) => (
  <Link to={['rules', rule.id]}>{rule.name ?? ruleText(rule)}</Link>
);

/** Where a customer stands, and whether it was told of. */
export function State({ value, rule, told }: { value: string; rule: Rule; told: boolean }) {
  const { text, tone, part } = standingOf(value, rule.threshold);
  return (
    <span class="row tight">
      <Bar value={part} of={1} tone={tone} /> <Badge>{text}</Badge>
      {told && <Badge>told</Badge>}
    </span>
  );
}
