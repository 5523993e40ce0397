"""A client with the Python SDK: both eras. Arguments: see lib/round.mjs."""

import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

import tour

chosen = tour.task()
asked = []


async def elicit(_context, _params):
    asked.append("elicitation/create")
    return types.ElicitResult(action="accept", content=tour.FORM)


async def sample(_context, _params):
    asked.append("sampling/createMessage")
    content = types.TextContent(type="text", text=tour.FORM["name"])
    return types.CreateMessageResult(role="assistant", model="none", content=content)


def transport():
    if chosen.stdio:
        command, *args = chosen.stdio
        return StdioServerParameters(command=command, args=args)
    headers = {"authorization": f"Bearer {chosen.token}"} if chosen.token else {}
    return streamable_http_client(chosen.url, http_client=create_mcp_http_client(headers))


async def connected():
    async with Client(
        transport(),
        mode=chosen.mode,
        client_info=types.Implementation(name="peer-mcp", version="1.0.0"),
        elicitation_callback=elicit if "elicitation" in chosen.can else None,
        sampling_callback=sample if "sampling" in chosen.can else None,
    ) as client:
        return await tour.round(
            "mcp", chosen, client, asked,
            server=lambda: (client.server_info, client.protocol_version),
            capabilities=lambda: client.server_capabilities,
        )


tour.run("mcp", connected)
