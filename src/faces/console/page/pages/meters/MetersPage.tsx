import { usePlace } from '../../address/place.ts';
import { MeterDetail } from './MeterDetail.tsx';
import { MeterList } from './MeterList.tsx';
import { NewMeter } from './NewMeter.tsx';

/** Meters: all, one, or the making of one. */
export default function MetersPage() {
  const { rest, get } = usePlace();
  if (rest[0] !== undefined) return <MeterDetail key={rest[0]} slug={rest[0]} />;
  return get('new') === null ? <MeterList /> : <NewMeter />;
}
