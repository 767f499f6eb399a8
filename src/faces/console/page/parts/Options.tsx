/** What there is to choose from: value to text. */
export const Options = ({ of }: { of: Record<string, string> }) => (
  <>
    {Object.entries(of).map(([value, text]) => (
      <option {...{ value }}>{text}</option>
    ))}
  </>
);
