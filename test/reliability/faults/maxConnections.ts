import pg from 'pg';
import { MAX_CONNECTIONS, type Site } from '../site.ts';
import type { Fault } from '../trial.ts';

/** Takes every connection there is, those reserved for superusers too, since the service is one here. */
class Crowd {
  private readonly members: pg.Client[] = [];
  private readonly url: string;
  private filling: NodeJS.Timeout | undefined;

  constructor(site: Site) {
    this.url = site.url;
  }

  /** Takes all, and goes on taking what the service has to give up: its connections are ended. */
  async come(): Promise<void> {
    await this.fill();
    await this.members[0]!.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'tidemark %'`,
    );
    await this.fill();
    this.filling = setInterval(() => void this.fill(), 100);
  }

  async leave(): Promise<void> {
    clearInterval(this.filling);
    await Promise.all(this.members.splice(0).map((member) => member.end().catch(() => undefined)));
  }

  private async fill(): Promise<void> {
    const joined = await Promise.all(
      Array.from({ length: MAX_CONNECTIONS - this.members.length }, async () => {
        const member = new pg.Client({ connectionString: this.url, application_name: 'crowd' });
        member.on('error', () => undefined);
        return member.connect().then(
          () => member,
          () => null,
        );
      }),
    );
    this.members.push(...joined.filter((member) => member !== null));
  }
}

export const maxConnections: Fault = {
  name: 'maxConnections',
  description: "others take all of the server's connections",
  engineFree: true,
  short: { times: 1, holdMs: 2_500 },
  long: { times: 5, holdMs: 15_000 },
  async run(trial, { times, holdMs }) {
    for (let i = 0; i < times; i++) {
      const crowd = new Crowd(trial.site);
      try {
        await trial.outage({ begin: () => crowd.come(), holdMs, end: () => crowd.leave() });
      } finally {
        await crowd.leave();
      }
    }
  },
};
