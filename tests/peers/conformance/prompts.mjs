// The prompts that the conformance suites get.
import { acceptedContent, completable, inputRequired } from '@modelcontextprotocol/server';
import { z } from 'zod';

import { form, image, text } from './samples.mjs';

const WORDS = ['paris', 'park', 'party'];
const user = (...contents) => ({ messages: contents.map((content) => ({ role: 'user', content })) });
const startingWith = (value) => WORDS.filter((word) => word.startsWith(value));

/** Registers every prompt. Gives the one that comes and goes. */
export function addPrompts(mcp) {
  mcp.registerPrompt('test_simple_prompt', { description: 'Has no arguments' }, () => user(
    text('This is a simple prompt for testing.'),
  ));

  mcp.registerPrompt('test_prompt_with_arguments', {
    description: 'Has two arguments',
    argsSchema: z.object({
      arg1: completable(z.string().describe('First test argument'), startingWith),
      arg2: completable(z.string().describe('Second test argument'), startingWith),
    }),
  }, ({ arg1, arg2 }) => user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)));

  mcp.registerPrompt('test_prompt_with_embedded_resource', {
    description: 'Embeds the resource that is named',
    argsSchema: z.object({ resourceUri: z.string().describe('URI of the resource to embed') }),
  }, ({ resourceUri }) => user(
    {
      type: 'resource',
      resource: { uri: resourceUri, mimeType: 'text/plain', text: 'Embedded resource content for testing.' },
    },
    text('Please process the embedded resource above.'),
  ));

  mcp.registerPrompt('test_prompt_with_image', { description: 'Holds a picture' }, () => user(
    image(),
    text('Please analyze the image above.'),
  ));

  mcp.registerPrompt('test_input_required_result_prompt', { description: 'Asks before it answers' }, (ctx) => {
    const given = acceptedContent(ctx.mcpReq.inputResponses, 'user_context');
    if (given) return user(text(`Use this context: ${given.context}`));
    const question = form('What context should the prompt use?', 'context', 'string');
    return inputRequired({ inputRequests: { user_context: inputRequired.elicit(question) } });
  });

  return mcp.registerPrompt('test_changing_prompt', {
    description: 'Is listed after every other call of test_trigger_prompt_change',
  }, () => user(text('Listed for now.')));
}
