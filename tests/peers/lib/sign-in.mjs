// Signs a client in: says on standard error which page its user has to open, and takes what comes back from there.
import { createServer } from 'node:http';

/**
 * Gives the provider that the SDK wants, with tokens in it. `attempt(provider)` goes to the server without any, and gives
 * the transport that was told to sign in. Without an id the client registers itself; without a port it takes any.
 */
export async function signIn(attempt, [clientId, port = '0'] = []) {
  const callback = await listening(Number(port));
  const kept = { client: clientId && { client_id: clientId } };
  const redirectUrl = `http://127.0.0.1:${callback.port}/callback`;
  const provider = {
    redirectUrl,
    clientMetadata: {
      client_name: 'A <b>peer</b>',
      redirect_uris: [redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
    state: () => (kept.state ??= crypto.randomUUID()),
    clientInformation: () => kept.client,
    saveClientInformation: (client) => { kept.client = client; },
    tokens: () => kept.tokens,
    saveTokens: (tokens) => { kept.tokens = tokens; },
    codeVerifier: () => kept.verifier,
    saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
    redirectToAuthorization: (url) => { process.stderr.write(`${url}\n`); },
  };
  const transport = await attempt(provider);
  const answer = await callback.answer;
  if (answer.get('state') !== kept.state) throw new Error('the answer is to another question');
  if (answer.has('error')) throw new Error(answer.get('error'));
  await transport.finishAuth(answer.get('code'), answer.get('iss') ?? undefined);
  return provider;
}

/** A server that hears one answer. */
async function listening(port) {
  let came;
  const answer = new Promise((resolve) => { came = resolve; });
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://127.0.0.1');
    if (pathname !== '/callback') return response.writeHead(404).end();
    response.writeHead(200, { 'content-type': 'text/html', connection: 'close' });
    response.end('<!DOCTYPE html><html lang="en"><title>Done</title><h1>Back at the client</h1></html>');
    came(searchParams);
    server.close();
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  server.unref();
  // The process lives for as long as somebody may still answer.
  const alive = setTimeout(() => process.exit(1), 120_000);
  answer.then(() => clearTimeout(alive));
  return { port: server.address().port, answer };
}
