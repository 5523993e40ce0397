// A client with the TypeScript SDK, version 2: both eras. Arguments: see lib/round.mjs.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

import { answers, round, task } from '../lib/round.mjs';

const MODES = { auto: 'auto', legacy: 'legacy', modern: { pin: '2026-07-28' } };

const chosen = task();
const { asked, capabilities, handlers } = answers(chosen.can);
const { url, requestInit, stdio } = chosen;
const transport = stdio ? new StdioClientTransport(stdio) : new StreamableHTTPClientTransport(url, { requestInit });

const client = new Client({ name: 'peer-sdk-v2', version: '1.0.0' }, {
  capabilities,
  versionNegotiation: { mode: MODES[chosen.era] },
});
for (const [method, answer] of handlers) client.setRequestHandler(method, answer);

await round('sdk-v2', {
  task: chosen,
  asked,
  client,
  transport,
  call: (params, onprogress) => client.callTool(params, { onprogress }),
  protocol: () => client.getNegotiatedProtocolVersion(),
});
