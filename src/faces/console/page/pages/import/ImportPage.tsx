import { usePlace } from '../../address/place.ts';
import { Page } from '../../parts/Page.tsx';
import { Tabs } from '../../parts/Tabs.tsx';
import { useSession } from '../../session/session.tsx';
import { Backfills } from './backfills/Backfills.tsx';
import { ImportFile } from './ImportFile.tsx';

/** Files of events, and backfills. */
export default function ImportPage() {
  const { may } = useSession();
  const tab = usePlace().get('tab');
  const backfills = may('read');
  return (
    <Page
      title="Import"
      sub="Events from a CSV file: looked through here, then sent in batches. A row counts once, however often it is sent."
    >
      {backfills && <Tabs label="Ways in" tabs={{ '': 'File', backfills: 'Backfills' }} />}
      {backfills && tab === 'backfills' ? (
        <Backfills />
      ) : (
        <ImportFile staging={backfills && may('correct')} />
      )}
    </Page>
  );
}
