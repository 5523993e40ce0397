"""What the small servers say, alike in every SDK; and how the Python ones are served."""

import argparse
import socket
import sys

import mcp_types as types
import uvicorn

STEP_SECONDS = 0.02
NOTE_URI = "note://welcome"
NOTE = "Welcome."
QUESTION = types.ElicitRequestFormParams(
    message="What is your name?",
    requested_schema={"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
)
SAMPLING = types.CreateMessageRequestParams(
    messages=[types.SamplingMessage(role="user", content=types.TextContent(type="text", text="Say a name."))],
    max_tokens=10,
)


async def ask(ctx):
    """Asks the user, or the model of the client, in the way of the era."""
    session = ctx.session
    answer = (ctx.input_responses or {}).get("name")
    if answer is not None:
        return told(answer)
    able = session.client_capabilities or types.ClientCapabilities()
    if able.elicitation:
        question = types.ElicitRequest(params=QUESTION)
    elif able.sampling:
        question = types.CreateMessageRequest(params=SAMPLING)
    else:
        return "nobody to ask"
    if not session.can_send_request:
        return types.InputRequiredResult(input_requests={"name": question})
    if able.elicitation:
        return told(await session.elicit_form(QUESTION.message, QUESTION.requested_schema, ctx.request_id))
    return told(await session.create_message(SAMPLING.messages, max_tokens=10, related_request_id=ctx.request_id))


def told(answer):
    """An answer in words."""
    if isinstance(answer, types.ElicitResult):
        return f"elicited {answer.action} {(answer.content or {}).get('name', '')}".strip()
    return f"sampled {answer.content.text}"


def serve(stdio, app):
    """Runs `stdio`, or with `--http PORT` the ASGI application that `app` makes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--http", type=int, metavar="PORT")
    port = parser.parse_args().http
    if port is None:
        stdio()
        return
    listener = socket.create_server(("127.0.0.1", port))
    print(f"listening {listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app(), log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])
    sys.exit(0)
