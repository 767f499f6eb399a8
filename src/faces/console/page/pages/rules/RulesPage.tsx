import { usePlace } from '../../address/place.ts';
import { RuleDetail } from './RuleDetail.tsx';
import { RuleList } from './RuleList.tsx';

/** Alert rules: all, or where customers stand with one. */
export default function RulesPage() {
  const { rest } = usePlace();
  return rest[0] === undefined ? <RuleList /> : <RuleDetail key={rest[0]} id={rest[0]} />;
}
