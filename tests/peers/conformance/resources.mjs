// The resources that the conformance suites read and watch.
import { ResourceTemplate } from '@modelcontextprotocol/server';

import { PNG } from './samples.mjs';

/** The resource that says every few seconds that it has changed. */
export const WATCHED = 'test://watched-resource';

/** Registers every resource. Gives the URIs that a session has subscribed to. */
export function addResources(mcp, era) {
  const add = (name, uri, description, content) => mcp.registerResource(
    name,
    uri,
    { description, mimeType: content.mimeType },
    () => ({ contents: [{ uri, ...content }] }),
  );
  add('static-text', 'test://static-text', 'A text that never changes', {
    mimeType: 'text/plain',
    text: 'This is the content of the static text resource.',
  });
  add('static-binary', 'test://static-binary', 'A picture that never changes', { mimeType: 'image/png', blob: PNG });
  add('watched-resource', WATCHED, 'Says every few seconds that it has changed', {
    mimeType: 'text/plain',
    text: 'Watched.',
  });

  const template = new ResourceTemplate('test://template/{id}/data', {
    list: undefined,
    complete: { id: (value) => ['123', '456'].filter((id) => id.startsWith(value)) },
  });
  mcp.registerResource('template', template, {
    description: 'Data by its number',
    mimeType: 'application/json',
  }, (uri, { id }) => ({
    contents: [{
      uri: uri.href,
      mimeType: 'application/json',
      text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }),
    }],
  }));

  const watchers = new Set();
  if (era === 'legacy') {
    mcp.server.setRequestHandler('resources/subscribe', ({ params }) => { watchers.add(params.uri); return {}; });
    mcp.server.setRequestHandler('resources/unsubscribe', ({ params }) => { watchers.delete(params.uri); return {}; });
  }
  return watchers;
}
