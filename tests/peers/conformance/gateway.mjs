// The real gateway, before one server of a conformance suite.
import { execFile, spawn } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { readFileSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

const SERVER = 'conf';
const PATIENCE = 60_000;
/** Below the ports that the system gives to outgoing connections. */
const FIRST_PORT = 20_000;
const PORTS = 12_000;

export class Gateway {
  #child;
  #folder;

  constructor(child, folder, url, token) {
    this.#child = child;
    this.#folder = folder;
    this.url = url;
    this.token = token;
  }

  /** Starts `program` before `task.url`, and waits until it is ready. */
  static async start(program, task) {
    const folder = await mkdtemp(join(tmpdir(), 'gateway-'));
    const [port, admin] = [await freePort(0), await freePort(1)];
    const file = join(folder, 'portcullis.toml');
    await writeFile(file, await configuration({ port, admin, folder, ...task }));
    if (task.context.private_key_pem) await putKey(folder, task.context.private_key_pem);
    const log = openSync(join(folder, 'log'), 'w');
    const env = { ...process.env, PEER_SECRET: task.context.client_secret };
    const child = spawn(program, ['serve', '--config', file], { env, stdio: ['ignore', log, log] });
    const gateway = new Gateway(child, folder, `http://localhost:${port}/servers/${SERVER}/mcp`);
    try {
      await gateway.#ready(admin);
      const args = ['token', '--server', SERVER, '--data', join(folder, 'data'), '--config', file];
      gateway.token = (await promisify(execFile)(program, args, { env })).stdout.trim();
    } catch (error) {
      error.message += `\n${gateway.log()}`;
      await gateway.stop();
      throw error;
    }
    return gateway;
  }

  async #ready(admin) {
    const end = Date.now() + PATIENCE;
    while (Date.now() < end && this.#child.exitCode === null) {
      const answer = await fetch(`http://127.0.0.1:${admin}/readyz`).catch(() => undefined);
      if (answer?.ok) return;
      await pause(50);
    }
    throw new Error('the gateway is not ready');
  }

  /** What it has printed. */
  log() {
    return readFileSync(join(this.#folder, 'log'), 'utf8');
  }

  async stop() {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    if (this.#child.exitCode === null && this.#child.kill()) await ended;
    await rm(this.#folder, { recursive: true });
  }
}

/** A port that nobody has; many of these programs look for one at the same time. */
async function freePort(which) {
  for (let step = 0; ; step += 1) {
    const port = FIRST_PORT + ((process.pid * 2 + which + step * 97) % PORTS);
    const server = createServer();
    const listens = new Promise((resolve) => server.once('error', () => resolve(false)).once('listening', () => resolve(true)));
    server.listen(port, '127.0.0.1');
    if (!await listens) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** All is permitted; what the server's users have to agree to is asked of them. */
async function configuration({ port, admin, folder, url, scenario, context }) {
  return `[gateway]
listen = "127.0.0.1:${port}"
admin = "127.0.0.1:${admin}"
data = '${join(folder, 'data')}'
public_url = "http://localhost:${port}"
drain = "1s"
[issuers.local]
embedded = true
[egress]
allow = ["localhost"]
[servers.${SERVER}]
url = "${url}"
allow = ["*", "resource:*", "prompt:*", "ask:*"]
catalog = "observe"
${await access(url, scenario, context)}`;
}

/** How the server is shown who calls, by the kind of scenario. */
async function access(url, scenario, context) {
  if (!scenario.startsWith('auth/')) return '';
  if (scenario.startsWith('auth/client-credentials')) return credentials(url, context);
  return signIn(context);
}

/** A client that was registered before, or one that may register itself and has a document somewhere. */
function signIn({ client_id: id, issuer }) {
  const client = id === undefined
    ? 'register = true\nclient_document = "https://conformance-test.local/client-metadata.json"'
    : `issuer = "${issuer}"\nclient_id = "${id}"\nclient_secret = { env = "PEER_SECRET" }`;
  return `[servers.${SERVER}.sign_in]\n${client}\n`;
}

/** A client of its own: an operator looks up where tokens are to be had. */
async function credentials(url, { client_id: id, client_secret: secret }) {
  const document = async (where) => (await fetch(where)).json();
  const { resource, authorization_servers: [issuer] } =
    await document(new URL('/.well-known/oauth-protected-resource/mcp', url));
  const { token_endpoint: endpoint } = await document(`${issuer}/.well-known/oauth-authorization-server`);
  return `[servers.${SERVER}.credentials]
kind = "client-credentials"
audience = "${resource}"
token_endpoint = "${endpoint}"
issuer = "${issuer}"
client_id = "${id}"
${secret === undefined ? '' : 'client_secret = { env = "PEER_SECRET" }'}
`;
}

/** Puts the key that the suite gives to its client where the gateway has its own. */
async function putKey(folder, pem) {
  const keys = join(folder, 'data', 'keys');
  await mkdir(keys, { recursive: true, mode: 0o700 });
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  await writeFile(join(keys, 'client.es256'), der, { mode: 0o600 });
}
