import { Copy } from './Copy.tsx';
import { Dialog } from './Dialog.tsx';

interface SecretProps {
  title: string;
  secret: string;
  onClose(): void;
}

/** A secret, the one time that it is shown. */
export function Secret({ title, secret, onClose }: SecretProps) {
  return (
    <Dialog title={title} onClose={onClose}>
      <p>Keep it now: it is not shown again.</p>
      <p class="row secret">
        <code>{secret}</code>
        <Copy text={secret} />
      </p>
      <div class="row end">
        <button type="button" class="main" onClick={onClose}>
          I have it
        </button>
      </div>
    </Dialog>
  );
}
