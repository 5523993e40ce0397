"""A client with fastmcp: both eras. Arguments: see lib/round.mjs."""

import mcp_types as types
from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport

import tour

chosen = tour.task()
asked = []


async def elicit(_message, _response_type, _params, _context):
    asked.append("elicitation/create")
    return tour.FORM


async def sample(_messages, _params, _context):
    asked.append("sampling/createMessage")
    return tour.FORM["name"]


class Plain:
    """fastmcp's client with the results of the protocol instead of its own."""

    def __init__(self, client):
        self.list_tools = client.list_tools
        self.list_resources = client.list_resources
        self.list_prompts = client.list_prompts
        self.client = client

    async def call_tool(self, name, args, progress_callback):
        return await self.client.call_tool(name, args, progress_handler=progress_callback, raise_on_error=False)


def transport():
    if chosen.stdio:
        command, *args = chosen.stdio
        return StdioTransport(command, args, keep_alive=False)
    # It has $BROWSER open the page on which its user signs in.
    return StreamableHttpTransport(chosen.url, auth="oauth" if chosen.sign_in else chosen.token)


async def connected():
    async with Client(
        transport(),
        mode=chosen.mode,
        client_info=types.Implementation(name="peer-fastmcp", version="1.0.0"),
        elicitation_handler=elicit if "elicitation" in chosen.can else None,
        sampling_handler=sample if "sampling" in chosen.can else None,
    ) as client:
        session = client.session
        return await tour.round(
            "fastmcp", chosen, Plain(client), asked,
            server=lambda: (session.server_info, session.protocol_version),
            capabilities=lambda: session.server_capabilities,
        )


tour.run("fastmcp", connected)
