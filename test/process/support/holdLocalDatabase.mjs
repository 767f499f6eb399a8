import { startLocalDatabase } from '../../../dist/ground/local/localDatabase.js';

// A service in small: starts the database of the folder it is given, says so, and ignores Ctrl-C as one that
// drains does. `exit` on stdin ends it without stopping the database.
const [dataDir, port] = process.argv.slice(2);
process.on('SIGINT', () => process.stdout.write('interrupted\n'));
process.stdin.on('data', () => process.exit(0));
try {
  const { url } = await startLocalDatabase({
    dataDir,
    database: { embeddedPort: Number(port) },
  });
  process.stdout.write(`${url}\n`);
} catch (error) {
  process.stdout.write(`${error}\n`);
  process.exit(1);
}
