/* Preloaded into the service: it ends when the benchmark is killed, and is not kept alive by the channel. */
process.once('disconnect', () => process.exit(1));
process.channel?.unref();
