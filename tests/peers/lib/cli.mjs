// What every peer says to its caller: one JSON or plain line on standard output.

/** Writes one line of JSON. */
export const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

/** Takes `--name VALUE` out of `args`; gives `fallback` if it is not there. */
export function option(args, name, fallback) {
  const at = args.indexOf(`--${name}`);
  if (at === -1) return fallback;
  const [, value] = args.splice(at, 2);
  if (value === undefined) usage(`--${name} needs a value`);
  return value;
}

/** Ends the program because of its arguments. */
export function usage(why) {
  process.stderr.write(`${why}\n`);
  process.exit(2);
}

/** Binds `server` to loopback and prints `listening PORT`. Port 0 lets the system choose. */
export async function listen(server, port) {
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(Number(port), '127.0.0.1', resolve);
  });
  const chosen = server.address().port;
  process.stdout.write(`listening ${chosen}\n`);
  return chosen;
}
