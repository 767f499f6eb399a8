import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { Problem } from '../api/request.ts';
import { Confirm, Dialog } from './Dialog.tsx';
import { Fault } from './Fault.tsx';
import { toast } from './Toast.tsx';
import { useKeptFocus } from './useKeptFocus.ts';

interface ActProps {
  /** What the button says. */
  label: ComponentChildren;
  /** Of the dialog that asks; left out: it is done at once. */
  title?: string;
  /** What the button of the dialog says. Default: the label. */
  action?: string;
  danger?: boolean;
  class?: string;
  disabled?: boolean;
  /** Does it, with what was filled in. A text that it returns is told. */
  run(given: FormData): Promise<unknown>;
  /** What happens, and what is to be filled in. */
  children?: ComponentChildren;
}

/** A button that does something, asks before where it has a title, and says what came of it. */
export function Act({ label, title, action, danger = false, run, children, ...rest }: ActProps) {
  const [state, setState] = useState<'idle' | 'asking' | 'busy' | Problem>('idle');
  const button = useKeptFocus();
  const close = () => setState('idle');
  const told = async (given: FormData) => {
    const text = await run(given);
    if (typeof text === 'string') toast(text);
  };
  const busy = state === 'busy';
  const start = async () => {
    if (busy) return;
    if (title !== undefined) return setState('asking');
    setState('busy');
    await told(new FormData()).then(close, setState);
  };
  return (
    <>
      <button ref={button} type="button" {...rest} aria-disabled={busy} onClick={start}>
        {label}
      </button>
      {state === 'asking' && (
        <Confirm
          title={title!}
          action={action ?? String(label)}
          {...{ danger }}
          onConfirm={told}
          onClose={close}
        >
          {children}
        </Confirm>
      )}
      {typeof state === 'object' && (
        <Dialog title="This did not work" onClose={close}>
          <Fault problem={state} />
          <div class="row end">
            <button type="button" onClick={close}>
              Close
            </button>
          </div>
        </Dialog>
      )}
    </>
  );
}
