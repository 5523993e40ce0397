// One scenario of a conformance suite for clients, with the gateway as the client of the suite's server.
//
//   PEER_GATEWAY=PORTCULLIS MCP_CONFORMANCE_SCENARIO=NAME node client.mjs URL
//
// Starts the gateway with the suite's server behind it, and a client of the TypeScript SDK before it. The client calls;
// where it gets a link, a browser follows it, and the client calls again. Ends with 1 if that comes to nothing, which
// some scenarios want. The suite looks at what its server and its authorization server have seen.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

import { say } from '../lib/cli.mjs';
import { follow } from './browser.mjs';
import { Gateway } from './gateway.mjs';

const MODERN = '2026-07-28';
/** How often a client that is sent to its browser calls again. */
const MAX_LINKS = 5;
/** How long a client waits for an answer. */
const TIMEOUT = 20_000;

const env = process.env;
const scenario = env.MCP_CONFORMANCE_SCENARIO;
const version = env.MCP_CONFORMANCE_PROTOCOL_VERSION;
const context = JSON.parse(env.MCP_CONFORMANCE_CONTEXT ?? '{}');

const gateway = await Gateway.start(env.PEER_GATEWAY, { url: process.argv.at(-1), scenario, context });
try {
  await withLinks((fetch) => drive(gateway, fetch));
} catch (error) {
  process.stderr.write(`${error.stack}\n${gateway.log()}\n`);
  process.exitCode = 1;
} finally {
  await gateway.stop();
}

/** Does `task`, and does it again once the browser has been where it was sent. */
async function withLinks(task) {
  for (let links = 0; ; links += 1) {
    const seen = [];
    try {
      return await task(async (url, init) => noted(await fetch(url, init), seen));
    } catch (error) {
      const link = seen.pop();
      if (link === undefined || links === MAX_LINKS) throw error;
      await follow(link);
    }
  }
}

/** Notes the link of an answer: the SDK does not pass it on from its first request. */
async function noted(answer, seen) {
  if (answer.headers.get('content-type')?.startsWith('application/json')) {
    const { error } = await answer.clone().json();
    const link = error?.data?.elicitations?.[0]?.url ?? error?.data?.url;
    if (link !== undefined) seen.push(link);
  }
  return answer;
}

/** What the client does, from its handshake on: the same in every scenario, but for the arguments of tools. */
async function drive({ url, token }, fetch) {
  const client = new Client({ name: 'peer-conformance', version: '1.0.0' }, {
    capabilities: { elicitation: { form: { applyDefaults: true } } },
    versionNegotiation: { mode: version === MODERN ? { pin: MODERN } : 'legacy' },
  });
  client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: {} }));
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    fetch,
    requestInit: { headers: { authorization: `Bearer ${token}` } },
  });
  try {
    await client.connect(transport, { timeout: TIMEOUT });
    const { tools } = await client.listTools();
    for (const params of calls(tools)) await client.callTool(params, { timeout: TIMEOUT });
    const able = client.getServerCapabilities() ?? {};
    if (able.resources) {
      const { resources } = await client.listResources();
      for (const { uri } of resources) await client.readResource({ uri });
    }
    if (able.prompts) {
      const { prompts } = await client.listPrompts();
      for (const { name } of prompts) await client.getPrompt({ name });
    }
    say({ scenario, tools: tools.map(({ name }) => name) });
    await transport.terminateSession?.();
  } finally {
    await client.close();
  }
}

/** The calls that the suite wrote down, or one of each tool. */
function calls(tools) {
  if (context.toolCalls) return context.toolCalls;
  return tools.map(({ name, inputSchema }) => ({ name, arguments: filled(inputSchema, tools) }));
}

/** Arguments that a schema takes; a schema that is wanted is the one that the suite's own tool came with. */
function filled({ properties = {} }, tools) {
  const values = { number: 3, integer: 3, string: 'text', boolean: true, object: tools[0].inputSchema };
  return Object.fromEntries(Object.entries(properties).map(([name, { type }]) => [name, values[type] ?? 'text']));
}
