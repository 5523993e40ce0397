// Runs the conformance suite for authorization servers against the gateway, and answers its pages; prints one line of JSON.
//
//   node authorize.mjs --url ISSUER --resource URL --client-id ID --port PORT --link LINK --tools DIR
//
// LINK signs the owner in, PORT is where the client waits for its answer. The line is that of run.mjs.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { option, say, usage } from '../lib/cli.mjs';
import { Person } from '../lib/person.mjs';

const args = process.argv.slice(2);
const needed = (name) => option(args, name) ?? usage(`--${name} is missing`);
const [url, resource, client, port, link, tools] =
  ['url', 'resource', 'client-id', 'port', 'link', 'tools'].map(needed);

const results = await mkdtemp(join(tmpdir(), 'conformance-'));
try {
  const person = new Person();
  await person.press(await person.open(link), 'Sign in');
  const home = join(tools, 'conformance-alpha/node_modules/@modelcontextprotocol/conformance/dist/index.js');
  const child = spawn(join(tools, 'node/node_modules/.bin/node'), [
    home, 'authorization', '--url', url, '--resource', resource, '--client-id', client, '-p', port, '-o', results,
  ], { cwd: results, env: { ...process.env, NO_COLOR: '1' }, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  const told = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      told.push(line);
      const page = /https?:\/\/\S+[?&]response_type=\S+/.exec(line)?.[0];
      if (page) agree(person, page).catch((error) => { told.push(error.message); child.kill(); });
    });
  }
  const rc = await ended;
  const checks = await found();
  if (checks.length === 0 || rc === null) throw new Error(`the suite did not come to its end:\n${told.join('\n')}`);
  const count = (status) => checks.filter((check) => check.status === status).length;
  const failures = checks.filter(({ status }) => status === 'FAILURE')
    .map(({ id, errorMessage }) => ({ scenario: 'authorization', check: id, scored: true, message: errorMessage ?? '' }));
  say({
    suite: 'authorization', passed: count('SUCCESS'), failed: failures.length, warnings: count('WARNING'),
    scored_failed: failures.length, rc, failures,
  });
  process.exitCode = rc;
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
} finally {
  await rm(results, { recursive: true });
}

async function agree(person, page) {
  const last = await person.press(await person.open(page), 'Allow');
  if (last.url.port !== port) throw new Error(`nobody was sent back to the client: ${last.status} ${last.url}`);
}

async function found() {
  const all = (await readdir(results, { recursive: true })).filter((file) => file.endsWith('checks.json'));
  const read = all.map(async (file) => JSON.parse(await readFile(join(results, file), 'utf8')));
  return (await Promise.all(read)).flat();
}
