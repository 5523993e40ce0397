// The reference server with everything, over HTTP: as its package starts it, but on loopback only.
//
//   everything.mjs --http PORT     prints `listening PORT`, serves /mcp
import { Server } from 'node:net';

import { option } from '../lib/cli.mjs';

process.env.PORT = option(process.argv, 'http', '0');
console.log = console.error;

const { listen } = Server.prototype;
Server.prototype.listen = function onLoopback(port, ...rest) {
  this.once('listening', () => process.stdout.write(`listening ${this.address().port}\n`));
  return listen.call(this, Number(port), '127.0.0.1', ...rest);
};
await import('@modelcontextprotocol/server-everything/dist/transports/streamableHttp.js');
