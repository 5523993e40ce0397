// What the small servers say, alike in every SDK. `surface.py` is the same in Python.

/** After each report of progress: the TypeScript clients drop one that comes together with the result. */
export const STEP_MS = 20;

/** The one resource. */
export const NOTE = { uri: 'note://welcome', mimeType: 'text/plain', text: 'Welcome.' };

/** What `ask` asks of a client that can elicit. */
export const ELICITATION = {
  mode: 'form',
  message: 'What is your name?',
  requestedSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
};

/** What `ask` asks of a client that can only sample. */
export const SAMPLING = {
  messages: [{ role: 'user', content: { type: 'text', text: 'Say a name.' } }],
  maxTokens: 10,
};

/** The result of a tool. */
export const said = (text) => ({ content: [{ type: 'text', text }] });

/** The answer to `ELICITATION`, in words. */
export const elicited = ({ action, content }) => `elicited ${action} ${content?.name ?? ''}`.trim();

/** The answer to `SAMPLING`, in words. */
export const sampled = ({ content }) => `sampled ${[content].flat().map((block) => block.text).join('')}`;

/** The one prompt. */
export const greeting = (name) => ({
  messages: [{ role: 'user', content: { type: 'text', text: `Greet ${name}.` } }],
});
