import { useId } from 'preact/hooks';
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
  return (
    <label class="choice">
      <span>{label}</span>
      <input
        type="search"
        autocomplete="off"
        spellcheck={false}
        value={place.get(name) ?? ''}
        placeholder={placeholder ?? 'any'}
        list={known && id}
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
