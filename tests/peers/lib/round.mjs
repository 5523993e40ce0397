// One round of a client: connect, list, call a tool, list the rest, and say what was seen.
import { option, say, usage } from './cli.mjs';

const FORM = { name: 'Ada' };

/**
 * Reads the arguments of a client:
 *
 *   [--tool NAME] [--args JSON] [--era E] [--can KINDS] URL [TOKEN|--sign-in [CLIENT PORT]]
 *   [...the same] --stdio COMMAND ARGS...
 */
export function task() {
  const all = process.argv.slice(2);
  const at = all.indexOf('--stdio');
  const args = at === -1 ? all : all.slice(0, at);
  const chosen = {
    tool: option(args, 'tool'),
    args: JSON.parse(option(args, 'args', 'null')),
    era: option(args, 'era', 'auto'),
    can: option(args, 'can', 'elicitation,sampling').split(','),
  };
  if (!['auto', 'legacy', 'modern'].includes(chosen.era)) usage('--era auto|legacy|modern');
  if (at !== -1) {
    const [command, ...rest] = all.slice(at + 1);
    return { ...chosen, stdio: { command: command ?? usage('--stdio COMMAND ARGS...'), args: rest, stderr: 'inherit' } };
  }
  const [url = usage('URL is missing'), token, ...known] = args;
  const signsIn = token === '--sign-in';
  const headers = token === undefined || signsIn ? {} : { authorization: `Bearer ${token}` };
  return { ...chosen, url: new URL(url), signsIn, known, requestInit: { headers } };
}

/** The capabilities that the client declares, and what it answers when it is asked. */
export function answers(can) {
  const asked = [];
  const canned = {
    elicitation: ['elicitation/create', { action: 'accept', content: FORM }],
    sampling: ['sampling/createMessage', { role: 'assistant', model: 'none', content: { type: 'text', text: FORM.name } }],
  };
  const known = Object.entries(canned).filter(([kind]) => can.includes(kind));
  return {
    asked,
    capabilities: Object.fromEntries(known.map(([kind]) => [kind, {}])),
    handlers: known.map(([, [method, answer]]) => [method, () => { asked.push(method); return answer; }]),
  };
}

/**
 * Goes the round with the SDK's `client` over `transport`. `call(params, onprogress)` calls a tool,
 * `protocol()` says which version was agreed on. Prints one line; ends with 1 if the round broke off.
 */
export async function round(name, { task: chosen, asked, client, transport, call, protocol }) {
  try {
    await client.connect(transport);
    const able = client.getServerCapabilities();
    const tools = (await client.listTools()).tools.map((tool) => tool.name);
    const progress = [];
    const tool = chosen.tool ?? (tools.includes('echo') ? 'echo' : tools[0]);
    const args = chosen.args ?? (tool === 'echo' ? { text: 'hello' } : {});
    const result = tool && await call({ name: tool, arguments: args }, (step) => progress.push(step.progress));
    say({
      client: name,
      protocol: protocol() ?? null,
      server: client.getServerVersion()?.name ?? null,
      tools,
      call: result ? { tool, error: result.isError === true, text: textOf(result) } : null,
      progress,
      asked,
      resources: able.resources ? (await client.listResources()).resources.map(({ uri }) => uri) : null,
      prompts: able.prompts ? (await client.listPrompts()).prompts.map((prompt) => prompt.name) : null,
    });
    // A session is ended by its client; standard input and output have none.
    await transport.terminateSession?.();
  } catch (error) {
    say({ client: name, failed: error.message, code: error.data?.status ?? error.code ?? null });
    process.exitCode = 1;
  } finally {
    await client.close();
  }
}

const textOf = ({ content }) => content.filter(({ type }) => type === 'text').map(({ text }) => text).join('\n');
