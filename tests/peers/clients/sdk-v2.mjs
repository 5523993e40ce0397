// A client with the TypeScript SDK, version 2: both eras. Arguments: see lib/round.mjs.
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

import { answers, round, task } from '../lib/round.mjs';
import { signIn } from '../lib/sign-in.mjs';

const MODES = { auto: 'auto', legacy: 'legacy', modern: { pin: '2026-07-28' } };

const chosen = task();
const { asked, capabilities, handlers } = answers(chosen.can);
const { url, requestInit, signsIn, known, stdio } = chosen;
const authProvider = signsIn ? await signIn(attempt, known) : undefined;
const transport = stdio ? new StdioClientTransport(stdio) : new StreamableHTTPClientTransport(url, { requestInit, authProvider });

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

/** Goes there without a token. */
async function attempt(provider) {
  const transport = new StreamableHTTPClientTransport(url, { authProvider: provider });
  const client = new Client({ name: 'peer-sdk-v2', version: '1.0.0' });
  await client.connect(transport).catch((error) => {
    if (!(error instanceof UnauthorizedError)) throw error;
  });
  return transport;
}
