// A small server with the TypeScript SDK, version 1: sessions, up to 2025-11-25.
//
//   sdk-v1.mjs --http PORT     prints `listening PORT`, serves /mcp
//   sdk-v1.mjs                 serves standard input and output
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { CreateMessageResultSchema, ElicitResultSchema } from '@modelcontextprotocol/sdk/types.js';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';

import { listen, option } from '../lib/cli.mjs';
import { failure, guarded } from '../lib/guard.mjs';
import { ELICITATION, NOTE, SAMPLING, STEP_MS, elicited, greeting, said, sampled } from './surface.mjs';

function build() {
  const mcp = new McpServer({ name: 'peer-sdk-v1', version: '1.0.0' });

  mcp.registerTool('echo', {
    description: 'Gives back the text',
    inputSchema: { text: z.string() },
  }, ({ text }) => said(text));

  mcp.registerTool('add', {
    description: 'Adds two numbers',
    inputSchema: { a: z.number(), b: z.number() },
  }, ({ a, b }) => said(String(a + b)));

  mcp.registerTool('progress', {
    description: 'Reports each of its steps',
    inputSchema: { steps: z.int().min(1).max(100) },
  }, async ({ steps }, { _meta, sendNotification }) => {
    for (let progress = 1; progress <= steps; progress++) {
      const params = { progressToken: _meta?.progressToken, progress, total: steps };
      if (params.progressToken !== undefined) await sendNotification({ method: 'notifications/progress', params });
      await sleep(STEP_MS);
    }
    return said(`done ${steps}`);
  });

  mcp.registerTool('ask', { description: 'Asks the user, or the model of the client' }, async ({ sendRequest }) => {
    const able = mcp.server.getClientCapabilities() ?? {};
    if (able.elicitation) {
      return said(elicited(await sendRequest({ method: 'elicitation/create', params: ELICITATION }, ElicitResultSchema)));
    }
    if (able.sampling) {
      return said(sampled(await sendRequest({ method: 'sampling/createMessage', params: SAMPLING }, CreateMessageResultSchema)));
    }
    return said('nobody to ask');
  });

  mcp.registerResource('welcome', NOTE.uri, { description: 'A note', mimeType: NOTE.mimeType }, () => ({ contents: [NOTE] }));

  mcp.registerPrompt('greet', {
    description: 'Asks for a greeting',
    argsSchema: { name: z.string() },
  }, ({ name }) => greeting(name));

  return mcp;
}

const open = new Map();

async function serve(req, res) {
  const id = req.headers['mcp-session-id'];
  if (id !== undefined) {
    const transport = open.get(id);
    if (transport) return transport.handleRequest(req, res);
    res.writeHead(404, { 'content-type': 'application/json' });
    return res.end(JSON.stringify(failure('no such session')));
  }
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (started) => void open.set(started, transport),
    onsessionclosed: (ended) => void open.delete(ended),
  });
  const mcp = build();
  await mcp.connect(transport);
  await transport.handleRequest(req, res);
  if (transport.sessionId === undefined) await mcp.close();
}

const port = option(process.argv, 'http');
if (port === undefined) await build().connect(new StdioServerTransport());
else await listen(createServer(guarded(serve)), port);
