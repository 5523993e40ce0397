// A server of both eras that answers everything the public conformance suites ask of one.
//
//   PORT=0 node --import DIR/resolve.mjs fixture.mjs     prints `listening PORT`, serves /mcp
import { McpServer, createRequestStateCodec } from '@modelcontextprotocol/server';
import { randomBytes } from 'node:crypto';

import { listen } from '../lib/cli.mjs';
import { dualEra } from '../lib/dual-era.mjs';
import { addPrompts } from './prompts.mjs';
import { WATCHED, addResources } from './resources.mjs';
import { addTools } from './tools.mjs';

const UPDATE_EVERY_MS = 3000;

const state = createRequestStateCodec({
  key: randomBytes(32),
  bind: (ctx) => ctx.mcpReq.method,
});

/** What a tool call may change for everybody: whether the changing tool and prompt are listed. */
const lists = { tool: false, prompt: false };
const following = new Set();

const { server, notify } = dualEra(({ era }) => {
  const mcp = new McpServer({ name: 'portcullis-conformance-fixture', version: '1.0.0' }, {
    capabilities: {
      completions: {},
      logging: {},
      prompts: { listChanged: true },
      resources: { listChanged: true, subscribe: true },
      tools: { listChanged: true },
    },
    cacheHints: { 'tools/list': { ttlMs: 0, cacheScope: 'private' } },
    requestState: { verify: state.verify },
  });
  const tool = addTools(mcp, { mint: state.mint, toggle });
  const prompt = addPrompts(mcp);
  const watchers = addResources(mcp, era);
  const follow = () => {
    if (tool.enabled !== lists.tool) tool.update({ enabled: lists.tool });
    if (prompt.enabled !== lists.prompt) prompt.update({ enabled: lists.prompt });
  };
  follow();
  if (era === 'legacy') join(mcp, follow, watchers);
  return mcp;
});

/** Turns a list over and tells everyone who asked to be told. */
function toggle(which) {
  lists[which] = !lists[which];
  for (const { follow } of following) follow();
  if (which === 'tool') notify.toolsChanged();
  else notify.promptsChanged();
}

/** Keeps a session up to date until it ends. */
function join(mcp, follow, watchers) {
  const member = { mcp, follow, watchers };
  following.add(member);
  mcp.server.onclose = () => void following.delete(member);
}

setInterval(() => {
  notify.resourceUpdated(WATCHED);
  for (const { mcp, watchers } of following) {
    if (watchers.has(WATCHED)) mcp.server.sendResourceUpdated({ uri: WATCHED }).catch(() => {});
  }
}, UPDATE_EVERY_MS).unref();

await listen(server, process.env.PORT ?? 0);
