// A small server with the TypeScript SDK, version 2: both eras.
//
//   sdk-v2.mjs --http PORT     prints `listening PORT`, serves /mcp
//   sdk-v2.mjs                 serves standard input and output
//   sdk-v2.mjs --only modern   the same without sessions only
import { CLIENT_CAPABILITIES_META_KEY, McpServer, inputRequired, inputResponse } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';

import { listen, option } from '../lib/cli.mjs';
import { dualEra, modernOnly } from '../lib/dual-era.mjs';
import { ELICITATION, NOTE, SAMPLING, STEP_MS, elicited, greeting, said, sampled } from './surface.mjs';

const isModern = option(process.argv, 'only') === 'modern';

function build() {
  const mcp = new McpServer({ name: isModern ? 'peer-sdk-v2-modern' : 'peer-sdk-v2', version: '1.0.0' });

  mcp.registerTool('echo', {
    description: 'Gives back the text',
    inputSchema: z.object({ text: z.string() }),
  }, ({ text }) => said(text));

  mcp.registerTool('add', {
    description: 'Adds two numbers',
    inputSchema: z.object({ a: z.number(), b: z.number() }),
  }, ({ a, b }) => said(String(a + b)));

  mcp.registerTool('progress', {
    description: 'Reports each of its steps',
    inputSchema: z.object({ steps: z.int().min(1).max(100) }),
  }, async ({ steps }, ctx) => {
    const progressToken = ctx.mcpReq._meta?.progressToken;
    for (let progress = 1; progress <= steps; progress++) {
      const params = { progressToken, progress, total: steps };
      if (progressToken !== undefined) await ctx.mcpReq.notify({ method: 'notifications/progress', params });
      await sleep(STEP_MS);
    }
    return said(`done ${steps}`);
  });

  mcp.registerTool('ask', { description: 'Asks the user, or the model of the client' }, (ctx) => {
    const answer = inputResponse(ctx.mcpReq.inputResponses, 'name');
    if (answer.kind === 'elicit') return said(elicited(answer));
    if (answer.kind === 'sampling') return said(sampled(answer.result));
    const able = ctx.mcpReq.envelope?.[CLIENT_CAPABILITIES_META_KEY] ?? mcp.server.getClientCapabilities() ?? {};
    if (able.elicitation) return inputRequired({ inputRequests: { name: inputRequired.elicit(ELICITATION) } });
    if (able.sampling) return inputRequired({ inputRequests: { name: inputRequired.createMessage(SAMPLING) } });
    return said('nobody to ask');
  });

  mcp.registerResource('welcome', NOTE.uri, { description: 'A note', mimeType: NOTE.mimeType }, () => ({ contents: [NOTE] }));

  mcp.registerPrompt('greet', {
    description: 'Asks for a greeting',
    argsSchema: z.object({ name: z.string() }),
  }, ({ name }) => greeting(name));

  return mcp;
}

const port = option(process.argv, 'http');
if (port === undefined) serveStdio(build, { legacy: isModern ? 'reject' : 'serve' });
else await listen((isModern ? modernOnly : dualEra)(build).server, port);
