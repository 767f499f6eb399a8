import { useEffect, useState } from 'preact/hooks';

/** What a value is once it has not changed for so many ms: for questions about what is being typed. */
export function useSettled<T>(value: T, ms = 350): T {
  const [settled, setSettled] = useState(value);
  const text = JSON.stringify(value);
  useEffect(() => {
    const timer = setTimeout(setSettled, ms, value);
    return () => clearTimeout(timer);
  }, [text, ms]);
  return settled;
}
