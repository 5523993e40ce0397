// A real OAuth and OpenID Connect issuer for tests: npm oidc-provider, two ports on loopback.
//
//   node --import DIR/resolve.mjs idp.mjs [--users alice,bob] [--ttl SECONDS]
//
// PORT and ADMIN_PORT choose the ports; 0, the default, lets the system choose. The first line is JSON:
//   {issuer, token_endpoint, jwks_uri, admin, clients: {ID: {client_secret, alg, sub}}, introspection: {client_id,
//   client_secret}}
//
// Every client gets a JWT access token (RFC 9068) with one POST to `token_endpoint`:
//   grant_type=client_credentials  client_id  client_secret  resource=URL  scope="any words"
// Clients `rs`, `es` and `ed` sign with RS256, ES256 and EdDSA and are their own subject; every user
// is a client of its own, with ES256. `aud` is the resource; scopes are granted as asked. Tokens of the client `opaque`
// are read by introspection only (RFC 7662), which `introspection` may ask for, also for a signed answer (RFC 9701); they
// end at /token/revocation (RFC 7009). Those of `mutual` are bound to the client certificate (RFC 8705) whose DER stands in
// `x-client-certificate`, in base64.
//
// The admin port (all POST but the first):
//   GET /hits                                   {discovery, jwks, token}: how often each was asked for
//   /reset-hits
//   /rotate[?withdraw=true]                     new keys sign from now on; the old ones stay published,
//                                               or go. Answers {active: [kid], published: [kid]}, as /withdraw
//   /withdraw                                   only the keys that sign stay published
//   /stop-jwks[?status=503]  /start-jwks        what the key set is answered with
//   /slow-jwks?ms=N                             how late it is answered
//   /mint  {alg, claims, header, foreign}       a token with exactly these claims, of the signing key for
//                                               `alg`, or of a key nobody has published. Answers {token}
import { X509Certificate, generateKeyPair, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { SignJWT } from 'jose';
import { Provider } from 'oidc-provider';

import { option, say, usage } from './lib/cli.mjs';

const KINDS = {
  RS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519', {}],
};

const args = process.argv.slice(2);
const users = option(args, 'users', 'alice,bob').split(',');
const ttl = Number(option(args, 'ttl', '300'));
if (args.length > 0) usage(`unknown argument ${args[0]}`);

const secret = () => randomBytes(24).toString('base64url');
const client = (alg, sub) => [sub, { client_secret: secret(), alg, sub }];
const clients = Object.fromEntries([
  client('RS256', 'rs'),
  client('ES256', 'es'),
  client('EdDSA', 'ed'),
  client('ES256', 'opaque'),
  client('ES256', 'mutual'),
  ...users.map((user) => client('ES256', user)),
]);

const introspection = { client_id: 'gateway', client_secret: secret() };

let hits = {};
let jwks = { status: 200, lateMs: 0 };
/** The keys that sign, by algorithm, and every key that is published. */
let active;
let published = [];
let serve;

const server = createServer((req, res) => void front(req, res));
await new Promise((ready) => { server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', ready); });
const issuer = `http://127.0.0.1:${server.address().port}`;
await rotate(true);

const admin = createServer((req, res) => void control(req, res));
await new Promise((ready) => { admin.listen(Number(process.env.ADMIN_PORT ?? 0), '127.0.0.1', ready); });
say({
  issuer,
  token_endpoint: `${issuer}/token`,
  jwks_uri: `${issuer}/jwks`,
  admin: `http://127.0.0.1:${admin.address().port}`,
  clients,
  introspection,
});

/** Counts what is asked for, and keeps the key set back when it was told to. */
async function front(req, res) {
  const { pathname } = new URL(req.url, issuer);
  const asked = pathname.startsWith('/.well-known/') ? 'discovery' : pathname.slice(1);
  hits[asked] = (hits[asked] ?? 0) + 1;
  if (asked === 'jwks') {
    await sleep(jwks.lateMs);
    if (jwks.status !== 200) {
      res.writeHead(jwks.status);
      res.end();
      return;
    }
  }
  serve(req, res);
}

/** Makes new keys sign. The old ones stay published unless they are withdrawn. */
async function rotate(withdraw) {
  const made = await Promise.all(Object.keys(KINDS).map(async (alg) => [alg, await key(alg)]));
  active = Object.fromEntries(made);
  publish(withdraw ? [] : published);
}

/** Starts an issuer that publishes the signing keys and `others`. */
function publish(others) {
  published = [...Object.values(active), ...others];
  serve = provider().callback();
}

async function key(alg) {
  const { privateKey } = await promisify(generateKeyPair)(...KINDS[alg]);
  return { kid: randomBytes(8).toString('hex'), alg, use: 'sig', ...privateKey.export({ format: 'jwk' }) };
}

/** The client's certificate, as whoever ends TLS before the issuer says it: its DER in base64. */
function getCertificate(ctx) {
  const said = ctx.get('x-client-certificate');
  return said ? new X509Certificate(Buffer.from(said, 'base64')) : undefined;
}

function provider() {
  return new Provider(issuer, {
    clients: [asker(), ...Object.entries(clients).map(([client_id, { client_secret }]) => ({
      client_id,
      client_secret,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: 'client_secret_post',
      tls_client_certificate_bound_access_tokens: client_id === 'mutual',
    }))],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: () => true },
      jwtIntrospection: { enabled: true },
      mTLS: { enabled: true, certificateBoundAccessTokens: true, getCertificate },
      revocation: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo },
    },
    // Tokens of clients have no `sub` of their own.
    extraTokenClaims: (_, token) => ({ sub: clients[token.clientId].sub }),
    formats: {
      customizers: { jwt: (_, token, { payload }) => { payload.sub = clients[token.clientId].sub; } },
    },
    jwks: { keys: published },
    ttl: { ClientCredentials: ttl },
  });
}

/** Who may ask about tokens, and gets none. */
function asker() {
  return {
    ...introspection,
    introspection_signed_response_alg: 'ES256',
    grant_types: [],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: 'client_secret_basic',
  };
}

/** Any resource is ours, with whatever scopes are asked for it. */
function getResourceServerInfo(ctx, audience, { clientId }) {
  const { alg } = clients[clientId];
  return {
    audience,
    scope: ctx.oidc.params.scope ?? '',
    accessTokenTTL: ttl,
    accessTokenFormat: clientId === 'opaque' ? 'opaque' : 'jwt',
    jwt: { sign: { alg, kid: active[alg].kid } },
  };
}

async function mint({ alg = 'ES256', claims, header = {}, foreign = false }) {
  const chosen = foreign ? await key(alg) : active[alg];
  const token = await new SignJWT(claims).setProtectedHeader({ alg, typ: 'at+jwt', kid: chosen.kid, ...header }).sign(chosen);
  return { token };
}

const kids = () => ({
  active: Object.values(active).map(({ kid }) => kid),
  published: published.map(({ kid }) => kid),
});

const CONTROLS = {
  'GET /hits': () => ({ discovery: 0, jwks: 0, token: 0, ...hits }),
  'POST /reset-hits': () => { hits = {}; return {}; },
  'POST /rotate': async ({ query }) => { await rotate(query.get('withdraw') === 'true'); return kids(); },
  'POST /withdraw': () => { publish([]); return kids(); },
  'POST /stop-jwks': ({ query }) => { jwks.status = Number(query.get('status') ?? 503); return jwks; },
  'POST /start-jwks': () => { jwks = { status: 200, lateMs: 0 }; return jwks; },
  'POST /slow-jwks': ({ query }) => { jwks.lateMs = Number(query.get('ms')); return jwks; },
  'POST /mint': async ({ req }) => mint(await json(req)),
};

async function control(req, res) {
  const { pathname, searchParams: query } = new URL(req.url, issuer);
  const run = CONTROLS[`${req.method} ${pathname}`];
  const [status, body] = run
    ? await Promise.resolve(run({ req, query })).then((done) => [200, done], (error) => [400, { error: error.message }])
    : [404, { error: 'no such control' }];
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify(body));
}
