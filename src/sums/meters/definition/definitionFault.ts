/** What is wrong with a definition: where (RFC 6901 pointer into it), what kind, and in words. */
export interface DefinitionFault {
  pointer: string;
  code: string;
  message: string;
}

/** Takes faults of what lies below one pointer. */
export type TellFault = (pointer: string, code: string, message: string) => void;

/** RFC 6901 §3. */
export function pointerTo(...path: (string | number)[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
