import { useEffect, useState } from 'preact/hooks';
import { ask } from './request.ts';

let described: Promise<{ paths: Record<string, unknown> }> | undefined;

/** Whether the service has a route, by its description. Null: not known yet. */
export function useOffers(path: string): boolean | null {
  const [has, setHas] = useState<boolean | null>(null);
  useEffect(() => {
    described ??= ask({ path: '/openapi.json' });
    described.then(
      ({ paths }) => setHas(path in paths),
      () => {
        described = undefined;
        setHas(false);
      },
    );
  }, [path]);
  return has;
}
