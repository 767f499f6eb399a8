import type { ComponentChildren } from 'preact';
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Problem } from '../api/request.ts';
import { Fault } from './Fault.tsx';

interface DialogProps {
  title: string;
  onClose(): void;
  children: ComponentChildren;
}

/** A dialog over the page, for as long as it is drawn. The browser keeps the focus inside, and gives it back. */
export function Dialog({ title, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    const shown = dialog.current!;
    shown.showModal();
    return () => shown.close();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

interface ConfirmProps extends DialogProps {
  /** What the button says: `Revoke this key`. */
  action: string;
  /** Whether something is lost for good. */
  danger?: boolean;
  /** Does it, with what was filled in; closes once it is done, and stays with what went wrong otherwise. */
  onConfirm(given: FormData): Promise<void>;
}

/** Asks before something happens; its children say what. */
export function Confirm({ action, danger = false, onConfirm, onClose, children, ...rest }: ConfirmProps) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setProblem(null);
    try {
      await onConfirm(new FormData(event.currentTarget as HTMLFormElement));
      onClose();
    } catch (error) {
      setProblem(error as Problem);
      setBusy(false);
    }
  };
  return (
    <Dialog onClose={onClose} {...rest}>
      <form onSubmit={submit} aria-busy={busy}>
        {children}
        {problem && <Fault problem={problem} />}
        <div class="row end">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class={danger ? 'danger' : 'main'} aria-disabled={busy}>
            {action}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
