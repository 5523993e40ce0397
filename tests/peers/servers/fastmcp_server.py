"""A small server with fastmcp: both eras.

fastmcp_server.py --http PORT     prints `listening PORT`, serves /mcp
fastmcp_server.py                 serves standard input and output
"""

import asyncio

from fastmcp import Context, FastMCP

import surface

mcp = FastMCP("peer-fastmcp", version="1.0.0")


@mcp.tool
def echo(text: str) -> str:
    """Gives back the text"""
    return text


@mcp.tool
def add(a: float, b: float) -> str:
    """Adds two numbers"""
    return f"{a + b:.15g}"


@mcp.tool
async def progress(steps: int, ctx: Context) -> str:
    """Reports each of its steps"""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps)
        await asyncio.sleep(surface.STEP_SECONDS)
    return f"done {steps}"


@mcp.tool(output_schema=None)
async def ask(ctx: Context):
    """Asks the user, or the model of the client"""
    return await surface.ask(ctx)


@mcp.resource(surface.NOTE_URI, name="welcome", mime_type="text/plain")
def welcome() -> str:
    """A note"""
    return surface.NOTE


@mcp.prompt
def greet(name: str) -> str:
    """Asks for a greeting"""
    return f"Greet {name}."


surface.serve(lambda: mcp.run(show_banner=False), lambda: mcp.http_app(path="/mcp"))
