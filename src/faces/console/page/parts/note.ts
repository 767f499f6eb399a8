/** Who has corrected something, and why. */
export interface Note {
  id: string;
  reason: string;
  actor: { kind: string; keyId: string | null };
}
