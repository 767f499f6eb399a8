import { oneOf } from '../address/oneOf.ts';
import { usePlace } from '../address/place.ts';

interface ChoiceProps {
  label: string;
  /** Of the parameter in the address. */
  name: string;
  /** Value to text; the first one is the default, and not in the address. */
  options: Record<string, string>;
}

/** One of several, kept in the address. */
export function Choice({ label, name, options }: ChoiceProps) {
  const place = usePlace();
  const [first] = Object.keys(options);
  const value = oneOf(options, place.get(name));
  return (
    <label class="choice">
      <span>{label}</span>
      <select
        value={value}
        onChange={({ currentTarget: { value } }) => place.set({ [name]: value === first ? null : value })}
      >
        {Object.entries(options).map(([id, text]) => (
          <option value={id} selected={id === value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
