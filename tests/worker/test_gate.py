import asyncio

import virtual_time
from hotmic.worker.gate import Gate


class Room:
    def __init__(self, places: int = 2) -> None:
        self.gate = Gate(places)
        self.log: list[str] = []

    async def visit(self, name: str, *, alone: bool = False, stay: float = 1.0) -> None:
        async with self.gate.enter(alone=alone):
            self.log.append(f"+{name}{self.gate.inside}")
            await asyncio.sleep(stay)
            self.log.append(f"-{name}")


def test_no_more_than_there_are_places() -> None:
    async def main() -> None:
        room = Room()
        await asyncio.gather(*(room.visit(name) for name in "abc"))
        assert room.log == ["+a1", "+b2", "-a", "-b", "+c1", "-c"] or room.log == [
            "+a1",
            "+b2",
            "-a",
            "+c2",
            "-b",
            "-c",
        ]

    virtual_time.run(main())


def test_one_alone_waits_for_an_empty_room_and_keeps_it() -> None:
    async def main() -> None:
        room = Room()
        visits = [room.visit("a", stay=2), room.visit("b", alone=True), room.visit("c")]
        await asyncio.gather(*visits)
        assert room.log == ["+a1", "-a", "+b1", "-b", "+c1", "-c"]

    virtual_time.run(main())


def test_who_gives_up_waiting_stands_in_nobodys_way() -> None:
    async def main() -> None:
        room = Room()
        inside = asyncio.create_task(room.visit("a", stay=10))
        await asyncio.sleep(0.1)
        lonely = asyncio.create_task(room.visit("b", alone=True))
        await asyncio.sleep(0.1)
        third = asyncio.create_task(room.visit("c"))
        await asyncio.sleep(0.1)
        assert room.log == ["+a1"]
        lonely.cancel()
        await asyncio.sleep(0.1)
        assert room.log == ["+a1", "+c2"]
        inside.cancel()
        await asyncio.wait({inside, lonely, third})
        assert room.gate.inside == 0

    virtual_time.run(main())
