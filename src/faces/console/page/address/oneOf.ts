/** What the address names, where it is one of these; else the first of them. */
export function oneOf<Name extends string>(known: Record<Name, unknown>, named: string | null): Name {
  const [first] = Object.keys(known);
  return (named !== null && Object.hasOwn(known, named) ? named : first) as Name;
}
