"""Against a real datagram socket, in virtual time."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import virtual_time
from hotmic.net.systemd import Systemd

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Unix sockets")


def manager(address: str) -> socket.socket:
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(address)
    heard.setblocking(False)
    return heard


def messages(heard: socket.socket) -> list[list[str]]:
    found = []
    while True:
        try:
            found.append(heard.recv(4096).decode().splitlines())
        except BlockingIOError:
            return found


def live(systemd: Systemd, script: Callable[[Systemd], None], seconds: float) -> None:
    async def main() -> None:
        running = asyncio.create_task(systemd.run(lambda: "Fine."))
        await asyncio.sleep(0)
        script(systemd)
        await asyncio.sleep(seconds)
        running.cancel()
        systemd.close()

    virtual_time.run(main())


def test_a_start_may_take_its_time_until_it_is_over(tmp_path: Path) -> None:
    with manager(str(tmp_path / "s")) as heard:
        live(Systemd(str(tmp_path / "s")), lambda _: None, 25)
        assert messages(heard) == [["WATCHDOG=1", "STATUS=Fine.", "EXTEND_TIMEOUT_USEC=60000000"]] * 3
        live(Systemd(str(tmp_path / "s")), lambda s: s.ready("Serving."), 25)
        assert messages(heard)[1:] == [["READY=1", "STATUS=Serving."], *[["WATCHDOG=1", "STATUS=Fine."]] * 2]
        live(Systemd(str(tmp_path / "s")), lambda s: s.stopping(), 1)
        assert messages(heard)[1] == ["STOPPING=1", "STATUS=Stopping.", "EXTEND_TIMEOUT_USEC=60000000"]


def test_the_watchdog_is_fed_twice_in_its_time(tmp_path: Path) -> None:
    with manager(str(tmp_path / "s")) as heard:
        live(Systemd(str(tmp_path / "s"), watchdog=4.0), lambda s: s.ready("Serving."), 19)
        assert sum("WATCHDOG=1" in message for message in messages(heard)) == 10


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets")
def test_an_abstract_socket() -> None:
    name = f"hotmic-test-{os.getpid()}"
    with manager(f"\0{name}") as heard:
        live(Systemd(f"@{name}"), lambda s: s.ready("Serving."), 1)
        assert messages(heard)[1:] == [["READY=1", "STATUS=Serving."]]


def test_the_environment_is_taken_and_not_left_to_children(tmp_path: Path) -> None:
    found = {"NOTIFY_SOCKET": str(tmp_path / "s"), "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": str(os.getpid())}
    environment = {"PATH": "/bin", **found}
    with manager(str(tmp_path / "s")) as heard:
        live(Systemd.take(environment), lambda _: None, 5)
        assert len(messages(heard)) == 3
        live(Systemd.take({**found, "WATCHDOG_PID": "1"}), lambda _: None, 5)
        assert len(messages(heard)) == 1, "the watchdog is another process's"
    assert environment == {"PATH": "/bin"}


def test_no_manager_and_one_that_is_gone(tmp_path: Path) -> None:
    live(Systemd.take({}), lambda s: s.ready("Serving."), 30)
    live(Systemd(str(tmp_path / "nobody")), lambda s: s.ready("Serving."), 30)
