"""One round of a Python client: connect, list, call a tool, list the rest, and say what was seen."""

import argparse
import asyncio
import json
import sys

import mcp_types as types

# A pinned version would skip the discovery, and with it what the server can do: see `round`.
MODES = {"auto": "auto", "legacy": "legacy", "modern": "auto"}
MODERN = "2026-07-28"
FORM = {"name": "Ada"}


def task():
    """Reads the arguments, which are those of the JavaScript clients (lib/round.mjs)."""
    argv = sys.argv[1:]
    at = argv.index("--stdio") if "--stdio" in argv else len(argv)
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool")
    parser.add_argument("--args", type=json.loads)
    parser.add_argument("--era", choices=MODES, default="auto")
    parser.add_argument("--can", default="elicitation,sampling")
    if at == len(argv):
        parser.add_argument("url")
        parser.add_argument("token", nargs="?")
        parser.add_argument("--sign-in", action="store_true")
    chosen = parser.parse_args(argv[:at])
    chosen.stdio = argv[at + 1 :]
    chosen.mode = MODES[chosen.era]
    chosen.can = chosen.can.split(",")
    if at < len(argv) and not chosen.stdio:
        parser.error("--stdio COMMAND ARGS...")
    return chosen


async def round(name, chosen, client, asked, server, capabilities):
    """Goes the round with a connected client. `server()` and `capabilities()` tell of the server."""
    info, protocol = server()
    if chosen.era == "modern" and protocol != MODERN:
        raise RuntimeError(f"the server speaks {protocol}, not {MODERN}")
    listed = await client.list_tools()
    tools = [tool.name for tool in getattr(listed, "tools", listed)]
    tool = chosen.tool or ("echo" if "echo" in tools else next(iter(tools), None))
    args = chosen.args if chosen.args is not None else {"text": "hello"} if tool == "echo" else {}
    progress = []

    async def step(reached, _total, _message):
        progress.append(reached)

    call = await called(client, tool, args, step) if tool else None
    able = capabilities()
    resources = await client.list_resources() if able.resources else None
    prompts = await client.list_prompts() if able.prompts else None
    return {
        "client": name,
        "protocol": protocol,
        "server": info and info.name,
        "tools": tools,
        "call": call,
        "progress": progress,
        "asked": asked,
        "resources": resources and [str(one.uri) for one in getattr(resources, "resources", resources)],
        "prompts": prompts and [one.name for one in getattr(prompts, "prompts", prompts)],
    }


async def called(client, tool, args, step):
    """Calls a tool and gives what matters of its result."""
    result = await client.call_tool(tool, args, progress_callback=step)
    text = "\n".join(block.text for block in result.content if isinstance(block, types.TextContent))
    return {"tool": tool, "error": bool(result.is_error), "text": text}


def run(name, connected):
    """Prints the line that `connected()` gives, or why there is none; then ends."""
    try:
        line, code = asyncio.run(connected()), 0
    except Exception as error:
        cause = first(error)
        line, code = {"client": name, "failed": str(cause) or type(cause).__name__, "code": status(cause)}, 1
    print(json.dumps(line, separators=(",", ":")))
    sys.exit(code)


def first(error):
    """The innermost error of a group, and of a chain."""
    while isinstance(error, BaseExceptionGroup) or error.__cause__ is not None:
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__
    return error


def status(error):
    """The HTTP status, or else the JSON-RPC code."""
    response = getattr(error, "response", None)
    return getattr(response, "status_code", None) or getattr(error, "code", None)
