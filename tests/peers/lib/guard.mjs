// What a local server refuses before it reads a request: strange hosts, origins and paths.
import {
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  validateHostHeader,
  validateOriginHeader,
} from '@modelcontextprotocol/server';

/** A JSON-RPC error without id: the request was not read. */
export const failure = (message) => ({ jsonrpc: '2.0', error: { code: -32000, message } });

/** A request listener that lets only loopback hosts and origins through, and only to `/mcp`. */
export const guarded = (serve) => (req, res) => {
  const refused = refusal(req);
  if (refused === undefined) return void serve(req, res);
  res.writeHead(refused.status, { 'content-type': 'application/json' });
  res.end(JSON.stringify(failure(refused.message)));
};

function refusal({ headers, url }) {
  const host = validateHostHeader(headers.host, localhostAllowedHostnames());
  if (!host.ok) return { status: 403, message: host.message };
  const origin = validateOriginHeader(headers.origin, localhostAllowedOrigins());
  if (!origin.ok) return { status: 403, message: origin.message };
  if (url.split('?')[0] !== '/mcp') return { status: 404, message: 'no such path' };
  return undefined;
}
