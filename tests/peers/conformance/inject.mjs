// Gives every HTTP request of a conformance suite a bearer token: the suites have no option for it.
//
//   PEER_BEARER=TOKEN PEER_ORIGIN=http://127.0.0.1:8080 node --import inject.mjs SUITE ...
//
// The suites use fetch, npm undici and node:http. All three announce a request on a diagnostics
// channel before they send it. Only requests to PEER_ORIGIN are touched, and only those that bring
// no authorization of their own.
import { subscribe } from 'node:diagnostics_channel';

const authorization = `Bearer ${process.env.PEER_BEARER}`;
const { origin, host } = new URL(process.env.PEER_ORIGIN);

subscribe('undici:request:create', ({ request }) => {
  // Names and values take turns.
  const brought = request.headers.some((name, at) => at % 2 === 0 && String(name).toLowerCase() === 'authorization');
  if (String(request.origin) === origin && !brought) request.addHeader('authorization', authorization);
});

subscribe('http.client.request.created', ({ request }) => {
  const ours = request.getHeader('host') === host;
  if (ours && !request.headersSent && !request.hasHeader('authorization')) request.setHeader('authorization', authorization);
});
