/**
 * Which rollup engine this server can carry: 'timescale' where the Community edition of the extension is at
 * hand, else 'postgres'. With the Apache licence the functions exist and fail with 0A000, so the licence
 * decides, and it can be read only once the extension is there.
 */
export async function chooseEngine(db) {
  const recorded = await db.query(`select to_regclass('installation') as relation`);
  if (recorded.rows[0].relation) {
    return (await db.query('select engine from installation')).rows[0].engine;
  }
  const { rows } = await db.query(`
    select exists (select from pg_extension where extname = 'timescaledb') as installed,
           exists (select from pg_available_extensions where name = 'timescaledb') as available,
           current_setting('timescaledb.bgw_launcher_poll_time', true) is not null as preloaded, -- of its loader
           current_setting('timescaledb.license', true) as license
  `);
  const server = rows[0];
  const community = server.license === 'timescale' || (server.license === null && server.preloaded);
  if (!server.installed && server.available && server.preloaded && community) {
    await db.query('create extension if not exists timescaledb');
    return (await communityLicense(db)) ? 'timescale' : 'postgres';
  }
  return server.installed && (await communityLicense(db)) ? 'timescale' : 'postgres';
}

async function communityLicense(db) {
  const { rows } = await db.query(`select current_setting('timescaledb.license', true) as license`);
  return rows[0].license === 'timescale';
}
