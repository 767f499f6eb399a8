/** Hex digit value by character code. */
const NIBBLE = new Uint8Array(128);
for (let i = 0; i < 16; i++) NIBBLE['0123456789abcdef'.charCodeAt(i)] = i;

/** The byte that two hex digits in lower case say, of which the first is at `at`. What is none counts as 0. */
export function hexByte(text: string, at: number): number {
  return (NIBBLE[text.charCodeAt(at)]! << 4) | NIBBLE[text.charCodeAt(at + 1)]!;
}
