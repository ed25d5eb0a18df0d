"""What can go wrong between a client and the daemon."""

import json
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus


class ClientError(Exception):
    """The daemon refused something, or cannot be reached.

    Args:
        code: The daemon's stable code, or the client's own: ``unreachable``, ``closed``, ``timeout``, ``bad_address``,
            ``bad_file``.
        message: One sentence.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_event(frame: str | bytes) -> dict[str, Any]:
    """Return the event in a frame.

    Raises:
        ClientError: It is none.
    """
    try:
        event = json.loads(frame)
    except ValueError as error:
        raise ClientError("unreachable", "What answers is no hotmic daemon.") from error
    if not isinstance(event, dict):
        raise ClientError("unreachable", "What answers is no hotmic daemon.")
    return event


def refused(error: InvalidStatus) -> ClientError:
    """Return why a handshake was refused."""
    try:
        body = json.loads(error.response.body or b"")
        return ClientError(body["code"], body["message"])
    except (ValueError, KeyError, TypeError):
        return ClientError("refused", f"The daemon refused the connection (HTTP {error.response.status_code}).")


def failure_of(error: Exception) -> ClientError:
    """Return what went wrong as an error of this client."""
    match error:
        case ClientError():
            return error
        case ConnectionClosed():
            return gone(error)
        case _:
            return ClientError("timeout", "The daemon does not answer.")


def gone(error: ConnectionClosed) -> ClientError:
    """Return why a connection is closed."""
    reason = error.rcvd.reason.rstrip(".") if error.rcvd else ""
    return ClientError("closed", f"The connection is closed{': ' + reason if reason else ''}.")
