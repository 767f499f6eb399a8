import { Badge } from './Badge.tsx';

/** Whether a window is closed, and how often it has changed since. */
export const WindowState = ({ state, revision }: { state: string; revision: number }) => (
  <>
    <Badge>{state}</Badge>
    {revision > 0 && <small> revision {revision}</small>}
  </>
);
