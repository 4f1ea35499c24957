// Loaded before Azurite: ends it when the parent's end of standard input closes, which it does however the parent dies.
const stop = () => process.kill(process.pid, "SIGTERM");
process.stdin.on("end", stop);
process.stdin.on("error", stop);
process.stdin.resume();
process.stdin.unref(); // watching alone must not keep Azurite alive once its servers are closed
