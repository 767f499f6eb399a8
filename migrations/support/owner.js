/** What this migration makes from here on belongs to tidemark_owner. For every migration after 0007. */
export function asOwner(pgm) {
  pgm.sql('set local role tidemark_owner');
}
