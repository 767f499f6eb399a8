/** Bytes of a foreign text that are kept. */
const KEPT = 1_024;

/** The beginning of what somebody else has sent, as a text that can be stored and shown; null: nothing. */
export function excerpt(bytes: Buffer): string | null {
  if (bytes.length === 0) return null;
  const text = new TextDecoder().decode(bytes.subarray(0, KEPT));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not remain
  return text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
}
