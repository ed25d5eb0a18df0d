"""``hotmic ping``: whether a daemon answers, how fast, and what it serves."""

import asyncio
import json
import time
from typing import Annotated, Any, NoReturn

import typer
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException


class _RefusedError(Exception):
    """The answer is an error; its sentence."""


def ping(
    uri: Annotated[str, typer.Argument(help="WebSocket address of a daemon.")] = "ws://127.0.0.1:8765",
    token: Annotated[str | None, typer.Option(help="Bearer token.", envvar="HOTMIC_TOKEN")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the answer.", min=0.1, max=600)] = 5.0,
) -> None:
    """Report that a daemon answers, the round trip time and the model it serves.

    Exit code 0: it answers; 1: it does not.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        typer.echo(asyncio.run(_ask(uri, headers, timeout)))
    except TimeoutError:
        _fail(f"{uri} does not answer within {timeout:g} s.")
    except InvalidStatus as error:
        _fail(f"{uri} refuses: HTTP {error.response.status_code}{_reason(error.response.body)}")
    except _RefusedError as error:
        _fail(f"{uri} refuses: {error}")
    except ConnectionClosed as error:
        why = f": {error.rcvd.reason.rstrip('.')}" if error.rcvd and error.rcvd.reason else ""
        _fail(f"{uri} closes the connection{why}.")
    except (OSError, WebSocketException) as error:
        _fail(f"{uri} cannot be reached: {error}.")
    except ValueError as error:
        _fail(f"{uri} does not answer as hotmic does: {error}.")


async def _ask(uri: str, headers: dict[str, str], timeout: float) -> str:
    async with asyncio.timeout(timeout), connect(uri, additional_headers=headers, open_timeout=None) as socket:
        began = time.perf_counter()
        await socket.send(json.dumps({"type": "ping"}))
        model = await _pong(socket)
        seconds = time.perf_counter() - began
    serves = f"; it serves {model}" if model else "; it serves no model" if model is not None else ""
    return f"{uri} answers in {seconds * 1000:.1f} ms{serves}."


async def _pong(socket: ClientConnection) -> str | None:
    """Wait for the answer; return the model of the greeting, ``None`` where none came."""
    model: str | None = None
    while True:
        match _read(await socket.recv()):
            case {"type": "pong"}:
                return model
            case {"type": "connected"} as message:
                model = str(message.get("current_model") or "")
            case {"type": "error"} as message:
                raise _RefusedError(str(message.get("message", "it gives no reason")))


def _read(frame: str | bytes) -> Any:
    try:
        return json.loads(frame)
    except ValueError as error:
        raise ValueError("it speaks another protocol") from error


def _reason(body: bytes | bytearray | None) -> str:
    try:
        return f", {json.loads(body or b'')['message']}"
    except (ValueError, KeyError, TypeError):
        return "."


def _fail(sentence: str) -> NoReturn:
    typer.echo(f"hotmic: {sentence}", err=True)
    raise typer.Exit(1)
