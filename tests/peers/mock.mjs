// A second OAuth and OpenID Connect issuer for tests: npm oauth2-mock-server, two ports on loopback.
//
//   node --import DIR/resolve.mjs mock.mjs
//
// PORT and ADMIN_PORT choose the ports; 0, the default, lets the system choose. The first line is JSON:
//   {issuer, token_endpoint, admin}
//
// One POST to `token_endpoint` gives an access token and an ID token, both signed by the same key and with the type `JWT`:
//   grant_type=password  username=SUBJECT  password=x  client_id  scope  resource=URL
// The access token has `aud` = the resource and `azp` = the client; the ID token has `aud` = the client.
//
// The admin port (all POST):
//   /rotate[?withdraw=true]   two new keys, which sign by turns with the old ones; or one alone, and the old ones go
import { createServer } from 'node:http';

import { Events, OAuth2Issuer, OAuth2Service } from 'oauth2-mock-server';

import { say, usage } from './lib/cli.mjs';

if (process.argv.length > 2) usage(`unknown argument ${process.argv[2]}`);

let keys = [];
let serve;

const bound = async (port, answer) => {
  const server = createServer(answer);
  await new Promise((ready) => { server.listen(Number(port ?? 0), '127.0.0.1', ready); });
  return `http://127.0.0.1:${server.address().port}`;
};
const url = await bound(process.env.PORT, (req, res) => serve(req, res));
await rotate(true);
const admin = await bound(process.env.ADMIN_PORT, (req, res) => void control(req, res));
say({ issuer: url, token_endpoint: `${url}/token`, admin });

/** Starts an issuer anew: each grant signs twice, so an odd number of keys lets every key sign each kind of token. */
async function rotate(withdraw) {
  const issuer = new OAuth2Issuer();
  issuer.url = url;
  await issuer.keys.generate('RS256');
  if (!withdraw) await issuer.keys.generate('RS256');
  for (const key of withdraw ? [] : keys) await issuer.keys.add(key);
  keys = issuer.keys.toJSON(true);
  const service = new OAuth2Service(issuer);
  service.on(Events.BeforeTokenSigning, ({ payload }, { body }) => {
    if (payload.aud !== undefined) return; // the ID token
    Object.assign(payload, { aud: body.resource, azp: body.client_id, jti: crypto.randomUUID() });
  });
  serve = service.requestHandler;
}

async function control(req, res) {
  const { pathname, searchParams } = new URL(req.url, url);
  const isKnown = req.method === 'POST' && pathname === '/rotate';
  if (isKnown) await rotate(searchParams.get('withdraw') === 'true');
  res.writeHead(isKnown ? 200 : 404, { 'content-type': 'application/json' });
  res.end(JSON.stringify({ published: keys.map(({ kid }) => kid) }));
}
