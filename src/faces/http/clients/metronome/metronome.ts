import { bodyOfEvents, storeEvents } from '../../answerEvents.ts';
import { errorAnswer, wholeMessage } from '../answers.ts';
import type { ClientDialect } from '../clientDialect.ts';

const OPTIONS = {
  format: { dialect: 'metronome', framing: 'json' },
  onInvalid: 'reject',
  async: false,
} as const;

/** Ingest as Metronome's clients do it: an array of events, an empty answer. */
export const metronome: ClientDialect = {
  paths: ['/v1/ingest'],
  refuse: (c, error) => errorAnswer(c, error, { body: { message: wholeMessage(error), code: error.code } }),
  routes(app, services) {
    app.post('/v1/ingest', async (c) => {
      await storeEvents(c, services, await bodyOfEvents(c, services), OPTIONS);
      return c.body(null, 200);
    });
  },
};
