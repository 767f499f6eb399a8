import { type ComponentChildren, createContext } from 'preact';
import { useContext, useEffect, useState } from 'preact/hooks';
import { go, usePlace } from '../address/place.ts';
import { ask, identify, onRefused, type Problem } from '../api/request.ts';
import { KeyForm } from './KeyForm.tsx';

export type Scope = 'ingest' | 'read' | 'correct' | 'admin';

export interface Caller {
  /** Null: ADMIN_KEY. */
  id: string | null;
  /** Null: a platform key. */
  tenantId: string | null;
  scopes: Scope[];
  expiresAt?: string | null;
  platform: boolean;
}

export interface Session {
  key: string;
  caller: Caller;
  /** Whom requests are about: the key's own tenant, or the one chosen for a platform key; null: none is chosen. */
  tenantId: string | null;
  may(scope: Scope): boolean;
  signOut(): void;
}

const STORED = 'tidemark.key';
const Context = createContext<Session | null>(null);

/** Who is signed in. Only below SignedIn. */
export const useSession = (): Session => useContext(Context)!;

/** What is below it is drawn once a key is known; until then there is the form that asks for one. */
export function SignedIn({ children }: { children: ComponentChildren }) {
  const place = usePlace();
  const [known, setKnown] = useState<{ key: string; caller: Caller } | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(true);

  const signOut = (why: Problem | null = null) => {
    sessionStorage.removeItem(STORED);
    identify(null);
    setKnown(null);
    setProblem(why);
  };

  const enter = async (key: string) => {
    setBusy(true);
    setProblem(null);
    identify(key);
    try {
      const self = await ask<Omit<Caller, 'platform'>>({ path: '/v1/keys/self' });
      const caller = { ...self, platform: self.tenantId === null };
      identify(key, caller.platform);
      sessionStorage.setItem(STORED, key);
      setKnown({ key, caller });
    } catch (error) {
      identify(null);
      setProblem(error as Problem);
    }
    setBusy(false);
  };

  useEffect(() => {
    onRefused(signOut);
    const start = async () => {
      const code = new URLSearchParams(location.search).get('code');
      // At once: it must stay neither in the history nor in what is copied from the address bar.
      if (code !== null) place.set({ code: null }, { replace: true });
      try {
        const { key } =
          code === null
            ? { key: sessionStorage.getItem(STORED) }
            : await ask<{ key: string }>({ method: 'POST', path: '/console/code', body: { code } });
        if (key !== null) return await enter(key);
      } catch (error) {
        const stored = sessionStorage.getItem(STORED);
        if (stored !== null) return await enter(stored); // a link that was followed twice
        setProblem(error as Problem);
      }
      setBusy(false);
    };
    void start();
  }, []);

  if (known === null) {
    const stored = sessionStorage.getItem(STORED);
    return <KeyForm busy={busy} problem={problem} stored={stored} onKey={enter} onForget={() => signOut()} />;
  }
  const { key, caller } = known;
  const session: Session = {
    key,
    caller,
    tenantId: caller.tenantId ?? place.get('tenant'),
    may: (scope) => caller.scopes.includes(scope),
    signOut: () => {
      signOut();
      go('/console');
    },
  };
  return <Context.Provider value={session}>{children}</Context.Provider>;
}
