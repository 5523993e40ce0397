// The tools that the conformance suites call, by the names and answers they expect.
import { CLIENT_CAPABILITIES_META_KEY, acceptedContent, fromJsonSchema, inputRequired, inputResponse } from '@modelcontextprotocol/server';
import { setTimeout as sleep } from 'node:timers/promises';

import { WAV, form, image, text } from './samples.mjs';

const STEP_MS = 50;

/**
 * Registers every tool. `mint` seals a request state, `toggle` turns a list over.
 * Gives the one tool that comes and goes.
 */
export function addTools(mcp, { mint, toggle }) {
  const add = ({ name, description, input, run }) => mcp.registerTool(
    name,
    { description, inputSchema: input && fromJsonSchema(input) },
    input ? run : (ctx) => run({}, ctx),
  );
  for (const tool of [...CONTENT, ...RUNNING, ...ASKING, ...DEFAULTS, ...SCHEMAS]) add(tool);
  for (const tool of rounds(mint)) add(tool);
  for (const tool of changing(toggle)) add(tool);
  return add({
    name: 'test_changing_tool',
    description: 'Is listed after every other call of test_trigger_tool_change',
    run: () => said('Listed for now.'),
  });
}

const said = (value) => ({ content: [text(value)] });

const resource = (uri, mimeType, value) => ({ type: 'resource', resource: { uri, mimeType, text: value } });

const CONTENT = [
  {
    name: 'test_simple_text',
    description: 'Gives one text',
    run: () => said('This is a simple text response for testing.'),
  },
  {
    name: 'test_image_content',
    description: 'Gives one picture',
    run: () => ({ content: [image()] }),
  },
  {
    name: 'test_audio_content',
    description: 'Gives one sound',
    run: () => ({ content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }] }),
  },
  {
    name: 'test_embedded_resource',
    description: 'Gives one embedded resource',
    run: () => ({
      content: [resource('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')],
    }),
  },
  {
    name: 'test_multiple_content_types',
    description: 'Gives a text, a picture and a resource',
    run: () => ({
      content: [
        text('Multiple content types test:'),
        image(),
        resource('test://mixed-content-resource', 'application/json', JSON.stringify({ test: 'data', value: 123 })),
      ],
    }),
  },
  {
    name: 'test_error_handling',
    description: 'Always fails',
    run: () => { throw new Error('This tool intentionally returns an error for testing'); },
  },
];

const RUNNING = [
  {
    name: 'test_tool_with_logging',
    description: 'Logs three lines while it runs',
    async run(_, ctx) {
      await ctx.mcpReq.log('info', 'Tool execution started');
      await sleep(STEP_MS);
      await ctx.mcpReq.log('info', 'Tool processing data');
      await sleep(STEP_MS);
      await ctx.mcpReq.log('info', 'Tool execution completed');
      return said('Logged three lines.');
    },
  },
  {
    name: 'test_logging_tool',
    description: 'Logs one line, for those who asked for a level',
    async run(_, ctx) {
      await ctx.mcpReq.log('info', 'One line');
      return said('Logged one line, if a level was asked for.');
    },
  },
  {
    name: 'test_tool_with_progress',
    description: 'Reports 0, 50 and 100 of 100',
    async run(_, ctx) {
      const progressToken = ctx.mcpReq._meta?.progressToken;
      for (const progress of [0, 50, 100]) {
        if (progress > 0) await sleep(STEP_MS);
        if (progressToken === undefined) continue;
        await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } });
      }
      return said('Reached 100 of 100.');
    },
  },
  {
    name: 'test_reconnection',
    description: 'Closes its stream before it answers, so that the client must come back',
    async run(_, ctx) {
      ctx.http?.closeSSE?.();
      await sleep(STEP_MS);
      return said('Answered after the stream was closed.');
    },
  },
];

/** A tool that asks once and tells what it was answered. */
const asking = ({ key, request, told, ...tool }) => ({
  ...tool,
  run(args, ctx) {
    const response = inputResponse(ctx.mcpReq.inputResponses, key);
    return response.kind === 'missing'
      ? inputRequired({ inputRequests: { [key]: request(args) } })
      : said(told(response));
  },
});

/** The same, but it asks again until the form was accepted. */
const insisting = ({ key, request, told, ...tool }) => ({
  ...tool,
  run(args, ctx) {
    const content = acceptedContent(ctx.mcpReq.inputResponses, key);
    return content === undefined
      ? inputRequired({ inputRequests: { [key]: request(args) } })
      : said(told(content));
  },
});

const elicit = (...asked) => inputRequired.elicit(form(...asked));

const sample = (prompt, maxTokens) => inputRequired.createMessage({
  messages: [{ role: 'user', content: text(prompt) }],
  maxTokens,
});

const outcome = ({ action, content = {} }) => `action=${action}, content=${JSON.stringify(content)}`;

const oneString = (name) => ({ type: 'object', properties: { [name]: { type: 'string' } }, required: [name] });

const ASKING = [
  asking({
    name: 'test_sampling',
    description: 'Asks the model of the client',
    input: oneString('prompt'),
    key: 'answer',
    request: ({ prompt }) => sample(prompt, 100),
    told: ({ result }) => `LLM response: ${[result.content].flat().map((block) => block.text).join('')}`,
  }),
  asking({
    name: 'test_elicitation',
    description: 'Asks the user for a name and an address',
    input: oneString('message'),
    key: 'user',
    request: ({ message }) => inputRequired.elicit({
      mode: 'form',
      message,
      requestedSchema: {
        type: 'object',
        properties: {
          username: { type: 'string', description: "User's response" },
          email: { type: 'string', description: "User's email address" },
        },
        required: ['username', 'email'],
      },
    }),
    told: (response) => `User response: ${outcome(response)}`,
  }),
  insisting({
    name: 'test_input_required_result_elicitation',
    description: 'Asks for a name and greets it',
    key: 'user_name',
    request: () => elicit('What is your name?', 'name', 'string'),
    told: ({ name }) => `Hello, ${name}!`,
  }),
  asking({
    name: 'test_input_required_result_sampling',
    description: 'Asks the model of the client for a capital',
    key: 'capital_question',
    request: () => sample('What is the capital of France?', 100),
    told: ({ result }) => `The model said: ${JSON.stringify(result.content)}`,
  }),
  asking({
    name: 'test_input_required_result_list_roots',
    description: 'Asks for the roots of the client',
    key: 'client_roots',
    request: () => inputRequired.listRoots(),
    told: ({ roots }) => `The roots are ${roots.map((root) => root.uri).join(', ')}.`,
  }),
  asking({
    name: 'test_missing_capability',
    description: 'Needs sampling, and says so to a client without it',
    key: 'answer',
    request: () => sample('Anything', 10),
    told: () => 'The client can sample.',
  }),
  insisting({
    name: 'test_streaming_elicitation',
    description: 'Asks for a confirmation within its stream',
    key: 'confirm',
    request: () => elicit('Go on?', 'ok', 'boolean'),
    told: ({ ok }) => `Confirmed: ${ok}`,
  }),
  {
    name: 'test_input_required_result_capabilities',
    description: 'Asks only for what the client has declared',
    run(_, ctx) {
      const able = ctx.mcpReq.envelope?.[CLIENT_CAPABILITIES_META_KEY] ?? {};
      const inputRequests = {};
      if (able.elicitation) inputRequests.user_name = elicit('What is your name?', 'name', 'string');
      if (able.sampling) inputRequests.greeting = sample('Generate a greeting', 50);
      if (able.roots) inputRequests.client_roots = inputRequired.listRoots();
      const wanted = Object.keys(inputRequests);
      if (wanted.length === 0) return said('The client has declared nothing to ask for.');
      const answered = wanted.every((key) => inputResponse(ctx.mcpReq.inputResponses, key).kind !== 'missing');
      return answered ? said(`Answered: ${wanted.join(', ')}`) : inputRequired({ inputRequests });
    },
  },
];

const CHOICES = ['option1', 'option2', 'option3'];
const titled = (title) => ['First', 'Second', 'Third'].map((nth, at) => ({ const: `value${at + 1}`, title: `${nth} ${title}` }));

/** Tools that ask with one form and tell what came back. */
const DEFAULTS = [
  {
    name: 'test_elicitation_sep1034_defaults',
    description: 'Asks with a default for each primitive type',
    properties: {
      name: { type: 'string', description: 'User name', default: 'John Doe' },
      age: { type: 'integer', description: 'User age', default: 30 },
      score: { type: 'number', description: 'User score', default: 95.5 },
      status: { type: 'string', description: 'User status', enum: ['active', 'inactive', 'pending'], default: 'active' },
      verified: { type: 'boolean', description: 'Verification status', default: true },
    },
  },
  {
    name: 'test_elicitation_sep1330_enums',
    description: 'Asks with each of the five kinds of choice',
    properties: {
      untitledSingle: { type: 'string', enum: CHOICES },
      titledSingle: { type: 'string', oneOf: titled('Option') },
      legacyEnum: { type: 'string', enum: ['opt1', 'opt2', 'opt3'], enumNames: ['Option One', 'Option Two', 'Option Three'] },
      untitledMulti: { type: 'array', items: { type: 'string', enum: CHOICES } },
      titledMulti: { type: 'array', items: { anyOf: titled('Choice') } },
    },
  },
].map(({ properties, ...tool }) => asking({
  ...tool,
  key: 'form',
  request: () => inputRequired.elicit({
    mode: 'form',
    message: 'Please look over these values',
    requestedSchema: { type: 'object', properties, required: [] },
  }),
  told: (response) => `Elicitation completed: ${outcome(response)}`,
}));

const SCHEMAS = [
  {
    name: 'json_schema_2020_12_tool',
    description: 'Tool with JSON Schema 2020-12 features',
    input: {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      $defs: {
        address: {
          $anchor: 'addressDef',
          type: 'object',
          properties: { street: { type: 'string' }, city: { type: 'string' } },
        },
      },
      properties: {
        name: { type: 'string' },
        address: { $ref: '#/$defs/address' },
        contactMethod: { type: 'string', enum: ['phone', 'email'] },
        phone: { type: 'string' },
        email: { type: 'string' },
      },
      allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
      if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
      then: { required: ['phone'] },
      else: { required: ['email'] },
      additionalProperties: false,
    },
    run: (args) => said(JSON.stringify(args)),
  },
  {
    name: 'test_custom_headers',
    description: 'Wants two of its arguments mirrored in headers',
    input: {
      type: 'object',
      properties: {
        region: { type: 'string', 'x-mcp-header': 'Region' },
        priority: { type: 'integer', 'x-mcp-header': 'Priority' },
        query: { type: 'string' },
      },
      required: ['region'],
    },
    run: (args) => said(JSON.stringify(args)),
  },
];

/** The tools that keep their place in a sealed request state. */
const rounds = (mint) => [
  {
    name: 'test_input_required_result_request_state',
    description: 'Asks for a confirmation and checks its state',
    run: confirming(mint, 'state-ok'),
  },
  {
    name: 'test_input_required_result_tampered_state',
    description: 'Asks for a confirmation and refuses a changed state',
    run: confirming(mint, 'The state is as it was.'),
  },
  {
    name: 'test_input_required_result_multiple_inputs',
    description: 'Asks for a name, a greeting and the roots at once',
    async run(_, ctx) {
      const inputRequests = {
        user_name: elicit('What is your name?', 'name', 'string'),
        greeting: sample('Generate a greeting', 50),
        client_roots: inputRequired.listRoots(),
      };
      const missing = Object.keys(inputRequests).some((key) => inputResponse(ctx.mcpReq.inputResponses, key).kind === 'missing');
      if (missing || ctx.mcpReq.requestState() === undefined) {
        return inputRequired({ inputRequests, requestState: await mint({ asked: 'everything' }, ctx) });
      }
      return said('All three were answered.');
    },
  },
  {
    name: 'test_input_required_result_multi_round',
    description: 'Asks for a name, then for a color',
    async run(_, ctx) {
      const state = ctx.mcpReq.requestState();
      const next = acceptedContent(ctx.mcpReq.inputResponses, state?.waiting);
      if (state?.waiting === 'step2' && next) return said(`${state.name} likes ${next.color}.`);
      if (state?.waiting === 'step1' && next) {
        return inputRequired({
          inputRequests: { step2: elicit('Step 2: What is your favorite color?', 'color', 'string') },
          requestState: await mint({ waiting: 'step2', name: next.name }, ctx),
        });
      }
      return inputRequired({
        inputRequests: { step1: elicit('Step 1: What is your name?', 'name', 'string') },
        requestState: await mint({ waiting: 'step1' }, ctx),
      });
    },
  },
];

const confirming = (mint, done) => async (_, ctx) => {
  const confirmed = acceptedContent(ctx.mcpReq.inputResponses, 'confirm');
  if (confirmed && ctx.mcpReq.requestState()?.asked === 'confirm') return said(done);
  return inputRequired({
    inputRequests: { confirm: elicit('Please confirm', 'ok', 'boolean') },
    requestState: await mint({ asked: 'confirm' }, ctx),
  });
};

const changing = (toggle) => [
  {
    name: 'test_trigger_tool_change',
    description: 'Changes the list of tools',
    run: () => { toggle('tool'); return said('The list of tools has changed.'); },
  },
  {
    name: 'test_trigger_prompt_change',
    description: 'Changes the list of prompts',
    run: () => { toggle('prompt'); return said('The list of prompts has changed.'); },
  },
];
