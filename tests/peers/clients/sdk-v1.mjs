// A client with the TypeScript SDK, version 1: up to 2025-11-25. Arguments: see lib/round.mjs.
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CreateMessageRequestSchema, ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';

import { usage } from '../lib/cli.mjs';
import { answers, round, task } from '../lib/round.mjs';
import { signIn } from '../lib/sign-in.mjs';

const SCHEMAS = { 'elicitation/create': ElicitRequestSchema, 'sampling/createMessage': CreateMessageRequestSchema };

const chosen = task();
if (chosen.era === 'modern') usage('this SDK has only the legacy era');
const { asked, capabilities, handlers } = answers(chosen.can);
const { url, requestInit, signsIn, known, stdio } = chosen;
const authProvider = signsIn ? await signIn(attempt, known) : undefined;
const transport = stdio ? new StdioClientTransport(stdio) : new StreamableHTTPClientTransport(url, { requestInit, authProvider });

// The SDK tells the transport, not the caller, which version was agreed on.
let negotiated;
const tell = transport.setProtocolVersion?.bind(transport);
transport.setProtocolVersion = (version) => { negotiated = version; tell?.(version); };

const client = new Client({ name: 'peer-sdk-v1', version: '1.0.0' }, { capabilities });
for (const [method, answer] of handlers) client.setRequestHandler(SCHEMAS[method], answer);

await round('sdk-v1', {
  task: chosen,
  asked,
  client,
  transport,
  call: (params, onprogress) => client.callTool(params, undefined, { onprogress }),
  protocol: () => negotiated,
});

/** Goes there without a token. */
async function attempt(provider) {
  const transport = new StreamableHTTPClientTransport(url, { authProvider: provider });
  const client = new Client({ name: 'peer-sdk-v1', version: '1.0.0' });
  await client.connect(transport).catch((error) => {
    if (!(error instanceof UnauthorizedError)) throw error;
  });
  return transport;
}
