export const FAILED = 1;
/** The command line is wrong: nothing was done. */
export const WRONG_USAGE = 2;
/** By SIGINT or SIGTERM, before the work was done. */
export const INTERRUPTED = 130;

/** For every help. */
export const EXIT_CODES = `Exit codes:
  0    done
  ${FAILED}    failed; standard error says why
  ${WRONG_USAGE}    the command line is wrong; nothing was done
  ${INTERRUPTED}  interrupted by Ctrl-C or SIGTERM (serve: that is its end, and 0)`;
