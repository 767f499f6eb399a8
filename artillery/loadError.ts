/** A reason not to run, or not to pass, that is one line for whoever started it. */
export class LoadError extends Error {
  override readonly name = 'LoadError';
}
