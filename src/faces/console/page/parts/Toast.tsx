import { useEffect, useState } from 'preact/hooks';

const SHOWN_MS = 6_000;
let show: (text: string) => void = () => {};

/** Says for some seconds what has been done, to those who cannot see too. */
export const toast = (text: string): void => show(text);

/** Where toasts appear: once, in the shell. */
export function Toasts() {
  const [texts, setTexts] = useState<{ id: number; text: string }[]>([]);
  useEffect(() => {
    let last = 0;
    show = (text) => {
      const id = ++last;
      setTexts((all) => [...all, { id, text }]);
      setTimeout(() => setTexts((all) => all.filter((one) => one.id !== id)), SHOWN_MS);
    };
  }, []);
  return (
    <div class="toasts" role="status">
      {texts.map(({ id, text }) => (
        <p key={id}>{text}</p>
      ))}
    </div>
  );
}
