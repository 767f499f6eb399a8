import { useEffect, useState } from 'preact/hooks';
import { Field } from '../../parts/Field.tsx';
import { Options } from '../../parts/Options.tsx';
import { View } from '../../parts/View.tsx';
import { MappingForm } from './MappingForm.tsx';
import { guessed, type Mapping } from './mapping.ts';
import { Outcome } from './Outcome.tsx';
import { DELIMITERS, type Opened, openFile } from './opened.ts';
import { type Job, type Progress, Run } from './run.ts';
import { likelyFormat } from './times.ts';

/** A file that becomes events: chosen, mapped, looked through, sent. */
export function ImportFile({ staging }: { staging: boolean }) {
  const [opened, setOpened] = useState<Opened | null>(null);
  const [mapping, setMapping] = useState<Mapping | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const [run, setRun] = useState<Run | null>(null);
  const [progress, setProgress] = useState<Progress | null>(null);
  const busy = progress !== null && ['running', 'paused', 'waiting'].includes(progress.state);

  useEffect(() => {
    if (!busy || progress.dry) return;
    const stay = (event: Event) => event.preventDefault();
    addEventListener('beforeunload', stay);
    return () => removeEventListener('beforeunload', stay);
  }, [busy]);
  useEffect(() => () => run?.cancel(), [run]);

  const open = async (file: File, given?: string) => {
    setFault(null);
    setProgress(null);
    try {
      const next = await openFile(file, given);
      const { header, sample } = next;
      const columns = guessed(header);
      const time = sample[0]?.values?.[columns.indexOf('timestamp')] ?? '';
      setOpened(next);
      setMapping({ header, columns, constants: {}, timeFormat: likelyFormat(time) });
    } catch (error) {
      setOpened(null);
      setMapping(null);
      setFault((error as Error).message);
    }
  };
  const start = (job: Omit<Job, 'file' | 'delimiter' | 'mapping'>) => {
    const { file, delimiter } = opened!;
    const next = new Run({ file, delimiter, mapping: mapping!, ...job }, setProgress);
    setRun(next);
    setProgress(next.progress);
    void next.start();
  };
  const change = (changed: Mapping) => {
    setMapping(changed);
    setProgress(null);
  };

  return (
    <>
      <View title="File">
        <div class="grid">
          <Field
            label="CSV file"
            hint="UTF-8, with a header line; .gz is understood. Of any size: it is read piece by piece."
            error={fault}
          >
            <input
              type="file"
              accept=".csv,.tsv,.txt,.gz,text/csv"
              disabled={busy}
              onChange={({ currentTarget }) => {
                const [file] = currentTarget.files ?? [];
                if (file) void open(file);
              }}
            />
          </Field>
          {opened && (
            <Field label="Between fields">
              <select
                value={opened.delimiter}
                disabled={busy}
                onChange={({ currentTarget }) => void open(opened.file, currentTarget.value)}
              >
                <Options of={DELIMITERS} />
              </select>
            </Field>
          )}
        </div>
      </View>
      {opened && mapping && (
        <MappingForm {...{ opened, mapping, busy, staging, progress }} onChange={change} onStart={start} />
      )}
      {progress && run && opened && mapping && <Outcome {...{ progress, run, opened, mapping }} />}
    </>
  );
}
