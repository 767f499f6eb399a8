import { useEffect, useId, useState } from 'preact/hooks';
import { usePlace } from '../address/place.ts';

interface FilterProps {
  label: string;
  /** Of the parameter in the address. */
  name: string;
  placeholder?: string;
  /** What there is to choose from. */
  known?: readonly string[] | undefined;
}

/** A text to look for, kept in the address once it has been typed. */
export function Filter({ label, name, placeholder, known }: FilterProps) {
  const place = usePlace();
  const id = useId();
  const value = place.get(name) ?? '';
  // What is being typed stays, however often the page is drawn meanwhile.
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  return (
    <label class="choice">
      <span>{label}</span>
      <input
        type="search"
        autocomplete="off"
        spellcheck={false}
        value={typed}
        placeholder={placeholder ?? 'any'}
        list={known && id}
        onInput={({ currentTarget }) => setTyped(currentTarget.value)}
        onChange={({ currentTarget }) => place.set({ [name]: currentTarget.value.trim() })}
      />
      {known && (
        <datalist id={id}>
          {known.map((value) => (
            <option value={value} />
          ))}
        </datalist>
      )}
    </label>
  );
}
