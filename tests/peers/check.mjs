// Runs the peers against each other, with no gateway between them: what fails here is no fault of ours.
//
//   node check.mjs DIR     one line for each failure, then {passed, failed}; ends with 1 if any failed
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

import { say, usage } from './lib/cli.mjs';

const OLD = 'servers/sdk-v1.mjs';
const SERVERS = [OLD, 'servers/sdk-v2.mjs', 'servers/mcp_server.py', 'servers/fastmcp_server.py', 'rmcp-server'];
const CLIENTS = [
  ['clients/sdk-v1.mjs', 'legacy'],
  ...['clients/sdk-v2.mjs', 'clients/mcp_client.py', 'clients/fastmcp_client.py', 'rmcp-client']
    .flatMap((client) => [[client, 'legacy'], [client, 'modern']]),
];
const CALLS = [
  { tool: 'echo', args: { text: 'né' }, text: 'né' },
  { tool: 'add', args: { a: 2, b: 3 }, text: '5' },
  { tool: 'progress', args: { steps: 3 }, text: 'done 3', progress: [1, 2, 3] },
  { tool: 'ask', text: 'elicited accept Ada', asked: ['elicitation/create'] },
  { tool: 'ask', can: 'sampling', text: 'sampled Ada', asked: ['sampling/createMessage'] },
  { tool: 'ask', can: 'nothing', text: 'nobody to ask' },
];
const SUITES = {
  stable: [40, 0],
  '2025-11-25': [84, 0],
  '2026-07-28': [164, 30],
  '2026-07-28-all': [152, 0],
};

const dir = process.argv[2] ?? usage('DIR is missing');
const peer = join(import.meta.dirname, 'peer');
const counts = { passed: 0, failed: 0 };

for (const server of SERVERS) {
  const command = [peer, dir, server];
  await serving(command.concat('--http', '0'), async (url) => {
    for (const [client, era] of able(server)) await tour(client, era, server, [url, 'token']);
  });
  for (const [client, era] of able(server)) await tour(client, era, server, ['--stdio', ...command]);
}
await serving([peer, dir, 'conformance/fixture.mjs'], async (url) => {
  for (const [suite, [passed, failed]] of Object.entries(SUITES)) {
    const [line] = await lines(peer, [dir, 'conformance/run.mjs', '--url', url, '--suite', suite, '--tools', dir]);
    const got = { passed: line.passed, failed: line.failed, scored: line.scored_failed, rc: line.rc };
    expect(`conformance ${suite}`, got, { passed, failed, scored: 0, rc: 0 });
  }
});
say(counts);
process.exitCode = counts.failed === 0 ? 0 : 1;

/** The first version of the SDK has no modern era to offer. */
function able(server) {
  return CLIENTS.filter(([, era]) => era === 'legacy' || server !== OLD);
}

/** Every call of one client to one server. */
async function tour(client, era, server, target) {
  for (const { tool, args = {}, can, text: said, progress, asked = [] } of CALLS) {
    const what = ['--era', era, '--tool', tool, '--args', JSON.stringify(args), ...can ? ['--can', can] : []];
    const [line] = await lines(peer, [dir, client, ...what, ...target]);
    const { protocol, call, resources, prompts } = line;
    expect(`${client} ${era} ${target[0]} ${server} ${tool} ${can ?? ''}`, {
      protocol,
      text: call?.text,
      // Version 2 of the TypeScript SDK reports rounds of questions as progress of its own.
      progress: tool === 'progress' ? line.progress : undefined,
      asked: line.asked,
      resources,
      prompts,
    }, {
      protocol: era === 'modern' ? '2026-07-28' : '2025-11-25',
      text: said,
      progress,
      asked,
      resources: ['note://welcome'],
      prompts: ['greet'],
    });
  }
}

function expect(name, got, wanted) {
  const same = JSON.stringify(got) === JSON.stringify(wanted);
  counts[same ? 'passed' : 'failed'] += 1;
  if (!same) say({ name, got, wanted });
}

/** Runs a program to its end and gives its lines of JSON. */
async function lines(command, args) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const said = await text(child.stdout);
  return said.trim() === '' ? [{}] : said.trim().split('\n').map((line) => JSON.parse(line));
}

/** Runs a server while `use(url)` lasts. */
async function serving([command, ...args], use) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const [line] = await once(createInterface(child.stdout), 'line');
  await use(`http://127.0.0.1:${line.split(' ')[1]}/mcp`);
  child.kill();
  await once(child, 'exit');
}
