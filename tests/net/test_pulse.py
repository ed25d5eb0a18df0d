"""How late the event loop is, in virtual time."""

import asyncio

import virtual_time
from hotmic.net.pulse import BEAT, Pulse


def test_it_notices_who_holds_the_loop_up() -> None:
    async def main() -> None:
        seen: list[float] = []
        pulse = Pulse(seen.append)
        pulse.open()
        await asyncio.sleep(2.5 * BEAT)
        assert [round(lateness, 6) for lateness in seen] == [0, 0]
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_time.VirtualTimeLoop)
        loop.advance(1.0)  # as something does that computes for a second
        await asyncio.sleep(0.001)
        assert [round(lateness, 3) for lateness in seen[2:]] == [round(1.0 - BEAT / 2, 3)]
        pulse.close()
        await asyncio.sleep(10 * BEAT)
        assert len(seen) == 3

    virtual_time.run(main())
