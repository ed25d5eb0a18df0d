"""No Python process of the test run leaves this machine: each one watches its own connections and name look-ups.

Python imports this module at its start where this folder is on ``PYTHONPATH``; tests/conftest.py puts it there, so that
daemons, workers and command lines are watched as the tests are. A connection beyond loopback is noted in the file
``OUTBOUND_LOG`` and refused. With ``OUTBOUND_OPENS`` every file that is opened is noted there.

What is not seen: connections of the event loop uvloop, which calls the system directly (the daemon opens none; a test
looks at its sockets), and of programs that are not Python.
"""

import ipaddress
import os
import sys

LOG = os.environ.get("OUTBOUND_LOG", "")
OPENS = os.environ.get("OUTBOUND_OPENS", "")


def is_local(host: object) -> bool:
    """Return whether an address is this machine's own; an empty one, as for a bind, is."""
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text in ("", "localhost")
    return address.is_loopback or address.is_unspecified


def watch(event: str, args: tuple[object, ...]) -> None:
    """Look at what the interpreter is about to do (PEP 578)."""
    if event == "open" and OPENS:
        if isinstance(args[0], str | bytes | os.PathLike) and os.fspath(args[0]) != OPENS:
            note(OPENS, os.fsdecode(args[0]))
    elif event in ("socket.connect", "socket.sendto"):
        address = args[1]
        if isinstance(address, tuple) and not is_local(address[0]):
            refuse(f"{event} {address[0]}:{address[1]}")
    elif event == "socket.getaddrinfo" and not is_local(args[0]) and not is_numeric(args[0]):
        refuse(f"{event} {args[0]!r}")


def is_numeric(host: object) -> bool:
    """Return whether this is an address already, whose look-up asks nobody."""
    try:
        ipaddress.ip_address(host.decode("ascii", "replace") if isinstance(host, bytes) else str(host))
    except ValueError:
        return False
    return True


def refuse(what: str) -> None:
    """Note an attempt to leave the machine, and forbid it."""
    note(LOG, f"{what} by process {os.getpid()} ({' '.join(sys.argv)[:200]})")
    raise PermissionError(f"the tests make no outbound connection: {what}")


def note(path: str, line: str) -> None:
    """Append a line in one write, so that processes do not mix theirs."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, (line.replace("\n", " ") + "\n").encode("utf-8", "backslashreplace"))
    os.close(descriptor)


_noting = False


def hook(event: str, args: tuple[object, ...]) -> None:
    """Call ``watch`` unless it is the one that opens a file."""
    global _noting
    if _noting or not event.startswith(("open", "socket.")):
        return
    _noting = True
    try:
        watch(event, args)
    finally:
        _noting = False


if LOG:
    sys.addaudithook(hook)
