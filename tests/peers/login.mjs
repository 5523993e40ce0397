// An identity provider at which people sign in (OpenID Connect): npm oidc-provider with its own pages for development.
//
//   node --import DIR/resolve.mjs login.mjs --redirect URL (--secret TEXT | --keys URL)
//
// It has one client, `gateway`, with that redirect URI. The client shows a secret, or an assertion by one of the keys at the
// URL (private_key_jwt, RFC 7523). Whoever types a name is that user. The first line is JSON: {issuer}.
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

import { option, say, usage } from './lib/cli.mjs';

// What the provider finds remarkable is not for machines.
console.info = console.error;

const args = process.argv.slice(2);
const redirect = option(args, 'redirect') ?? usage('--redirect URL');
const secret = option(args, 'secret');
const keys = option(args, 'keys');
if (args.length > 0) usage(`unknown argument ${args[0]}`);
if ((secret === undefined) === (keys === undefined)) usage('--secret TEXT or --keys URL');

const { privateKey } = await generateKeyPair('ES256', { extractable: true });
const key = { ...await exportJWK(privateKey), kid: 'login', alg: 'ES256', use: 'sig' };

const server = createServer((req, res) => callback(req, res));
await new Promise((ready) => { server.listen(0, '127.0.0.1', ready); });
const issuer = `http://127.0.0.1:${server.address().port}`;
const callback = new Provider(issuer, {
  clients: [{
    client_id: 'gateway',
    redirect_uris: [redirect],
    id_token_signed_response_alg: 'ES256',
    ...secret ? { client_secret: secret } : { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: keys },
  }],
  claims: { openid: ['sub'], profile: ['name', 'preferred_username'] },
  // So that the ID token says who it is.
  conformIdTokenClaims: false,
  cookies: { keys: [randomBytes(24).toString('hex')] },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, name: `The name of ${sub}`, preferred_username: sub }) }),
  // The keys of the client are on loopback, where the provider would fetch none.
  fetch: (url, { dispatcher, ...rest }) => fetch(url, rest),
  jwks: { keys: [key] },
}).callback();
say({ issuer });
