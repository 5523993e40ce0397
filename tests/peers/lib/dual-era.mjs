// One MCP endpoint that speaks both eras: sessions up to 2025-11-25, none from 2026-07-28 on.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

import { toNodeHandler } from '@modelcontextprotocol/node';
import {
  WebStandardStreamableHTTPServerTransport,
  createMcpHandler,
  isLegacyRequest,
} from '@modelcontextprotocol/server';

import { failure, guarded } from './guard.mjs';

const MAX_EVENTS = 1000;
const RETRY_MS = 200;

/**
 * An HTTP server for `build({ era })`, at `/mcp`.
 *
 * Host and Origin are checked before anything is read. Gives the server and `notify`, which
 * announces changes to the listeners of the modern era.
 */
export function dualEra(build) {
  const note = (error) => process.stderr.write(`${error.message}\n`);
  const modern = createMcpHandler(build, { legacy: 'reject', onerror: note });
  const legacy = sessions(build);
  const serve = toNodeHandler({
    fetch: async (request, options) =>
      (await isLegacyRequest(request)) ? legacy(request, options) : modern.fetch(request, options),
  }, { onerror: note });

  return { server: createServer(guarded(serve)), notify: modern.notify };
}

/** The same for the era without sessions only: whoever wants a handshake is refused. */
export function modernOnly(build) {
  const note = (error) => process.stderr.write(`${error.message}\n`);
  const serve = toNodeHandler(createMcpHandler(build, { legacy: 'reject', onerror: note }), { onerror: note });
  return { server: createServer(guarded(serve)) };
}

/** The era of sessions: one server and one transport for each. */
function sessions(build) {
  const open = new Map();
  return async (request, options) => {
    const id = request.headers.get('mcp-session-id');
    if (id !== null) {
      const transport = open.get(id);
      return transport?.handleRequest(request, options)
        ?? Response.json(failure('no such session'), { status: 404 });
    }
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: new Events(),
      retryInterval: RETRY_MS,
      onsessioninitialized: (started) => void open.set(started, transport),
      onsessionclosed: (ended) => void open.delete(ended),
    });
    const server = await build({ era: 'legacy' });
    await server.connect(transport);
    const response = await transport.handleRequest(request, options);
    if (transport.sessionId === undefined) await server.close();
    return response;
  };
}

/** The last events of one session, so that a stream can be taken up again. */
class Events {
  #log = [];
  #count = 0;

  async storeEvent(stream, message) {
    const id = `${stream}.${++this.#count}`;
    this.#log.push({ id, stream, message });
    if (this.#log.length > MAX_EVENTS) this.#log.shift();
    return id;
  }

  async getStreamIdForEventId(id) {
    return this.#log.find((event) => event.id === id)?.stream;
  }

  async replayEventsAfter(last, { send }) {
    const at = this.#log.findIndex((event) => event.id === last);
    if (at === -1) throw new Error('unknown event id');
    const { stream } = this.#log[at];
    // The event that primes a stream is stored without a message.
    const missed = this.#log.slice(at + 1).filter((event) => event.stream === stream && event.message.jsonrpc);
    for (const { id, message } of missed) await send(id, message);
    return stream;
  }
}
