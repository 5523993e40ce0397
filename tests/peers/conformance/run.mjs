// Runs one conformance suite and prints one line of JSON.
//
//   node run.mjs --url URL --suite stable|2025-11-25|2026-07-28|2026-07-28-all --tools DIR [--bearer TOKEN]
//   node run.mjs --gateway PORTCULLIS --suite client-2025-11-25|client-2026-07-28 --tools DIR
//
// The first is against a server; in the second the suite is the server, and client.mjs goes there through the gateway.
// The line: {suite, passed, failed, warnings, scored_failed, rc, failures: [{scenario, check, scored, message}]}.
// `rc` is the suite's own verdict (0 or 1); it is also this program's, whose 2 means that the suite did not run.
// `2026-07-28-all` is every scenario of that wire but the extensions, all of them scored.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';

import { option, say, usage } from '../lib/cli.mjs';

const SUITES = {
  stable: { tools: 'conformance-stable', args: ['--suite', 'active'] },
  '2025-11-25': { tools: 'conformance-alpha', args: ['--requirements', '2025-11-25'], frozen: true },
  '2026-07-28': { tools: 'conformance-alpha', args: ['--requirements', '2026-07-28'], frozen: true },
  'client-2025-11-25': { tools: 'conformance-alpha', leg: 'client', args: ['--requirements', '2025-11-25'], frozen: true },
  'client-2026-07-28': { tools: 'conformance-alpha', leg: 'client', args: ['--requirements', '2026-07-28'], frozen: true },
  '2026-07-28-all': { tools: 'conformance-alpha', args: ['--suite', 'all', '--spec-version', '2026-07-28'] },
};

/** How long one scenario may take: those for clients run all at once. */
const TIMEOUT = 300_000;

const args = process.argv.slice(2);
const suite = option(args, 'suite') ?? usage(`--suite ${Object.keys(SUITES).join('|')} is missing`);
const tools = option(args, 'tools') ?? usage('--tools DIR is missing');
const bearer = option(args, 'bearer');
const { leg = 'server', ...chosen } = SUITES[suite] ?? usage(`unknown suite ${suite}`);
const target = leg === 'server' ? 'url' : 'gateway';
const given = option(args, target) ?? usage(`--${target} is missing`);
if (args.length > 0) usage(`unknown argument ${args[0]}`);

const home = join(tools, chosen.tools, 'node_modules/@modelcontextprotocol/conformance');
const results = await mkdtemp(join(tmpdir(), 'conformance-'));
try {
  const { rc, output } = await run();
  const failures = await failed(await scored());
  const total = /^Total: (\d+) passed, (\d+) failed/m.exec(output);
  if (!total) throw new Error(`the suite did not finish:\n${output}`);
  say({
    suite,
    passed: Number(total[1]),
    failed: Number(total[2]),
    warnings: failures.warnings,
    scored_failed: failures.found.filter((failure) => failure.scored).length,
    rc,
    failures: failures.found,
  });
  process.exitCode = rc;
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
} finally {
  await rm(results, { recursive: true });
}

async function run() {
  const inject = bearer === undefined ? [] : ['--import', join(import.meta.dirname, 'inject.mjs')];
  const child = spawn(join(tools, 'node/node_modules/.bin/node'), [
    ...inject, join(home, 'dist/index.js'), leg, ...peer(), ...chosen.args, '-o', results,
  ], {
    cwd: results,
    env: { ...process.env, NO_COLOR: '1', ...(leg === 'server' ? injected() : { PEER_GATEWAY: resolve(given) }) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  const [out, err, rc] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { rc, output: out + err };
}

function injected() {
  return { PEER_BEARER: bearer, PEER_ORIGIN: new URL(given).origin };
}

/** The server that is tried, or the client. */
function peer() {
  if (leg === 'server') return ['--url', given];
  const command = [join(import.meta.dirname, '../peer'), tools, 'conformance/client.mjs'];
  return ['--command', command.join(' '), '--timeout', String(TIMEOUT)];
}

/** Whether a scenario counts: those of the frozen list do; without one, all do. */
async function scored() {
  if (!chosen.frozen) return () => true;
  const list = await readFile(join(home, 'requirements', `${chosen.args.at(-1)}.yaml`), 'utf8');
  const names = new RegExp(`^${leg}:\\n((?: *- .*\\n)+)`, 'm').exec(list)[1].match(/[^\s-].*/g);
  return (scenario) => names.includes(scenario);
}

/** What failed, from the folder that each scenario has left: `[server-]SCENARIO-TIME/checks.json`. */
async function failed(counts) {
  const found = [];
  let warnings = 0;
  for (const folder of (await readdir(results, { recursive: true })).sort()) {
    const scenario = /^(?:server-)?(.*)-\d{4}-\d\d-\d\dT[\d-]+Z$/.exec(folder)?.[1];
    if (scenario === undefined) continue;
    const checks = await checksOf(join(results, folder, 'checks.json'));
    warnings += checks.filter(({ status }) => status === 'WARNING').length;
    for (const { id, status, errorMessage } of checks) {
      if (status !== 'FAILURE') continue;
      found.push({ scenario, check: id, scored: counts(scenario), message: errorMessage ?? '' });
    }
  }
  return { found, warnings };
}

/** The checks of one scenario; one that broke off has left none, and counts as failed. */
async function checksOf(file) {
  const json = await readFile(file, 'utf8').catch(() => undefined);
  return json ? JSON.parse(json) : [{ id: 'finished', status: 'FAILURE', errorMessage: 'the scenario broke off' }];
}
