import asyncio

import virtual_time
from hotmic.net.outbox import Outbox


async def drain(outbox: Outbox) -> list[str | bytes]:
    return [await outbox.get() for _ in range(len(outbox))]


def test_frames_leave_in_order_and_stale_partials_are_overwritten() -> None:
    outbox = Outbox(max_items=8, max_bytes=100)
    for frame, key in (("p1", "seg"), ("f0", ""), ("p2 longer", "seg"), ("f1", "")):
        assert outbox.put(frame, key=key)
    assert (len(outbox), outbox.bytes, outbox.coalesced) == (3, 13, 1)
    assert virtual_time.run(drain(outbox)) == ["p2 longer", "f0", "f1"]
    assert outbox.bytes == 0


def test_a_key_that_left_waits_anew() -> None:
    async def main() -> list[str | bytes]:
        outbox = Outbox(max_items=8, max_bytes=100)
        outbox.put("p1", key="seg")
        first = await outbox.get()
        outbox.put("p2", key="seg")
        return [first, await outbox.get()]

    assert virtual_time.run(main()) == ["p1", "p2"]


def test_caps_are_exact() -> None:
    items = Outbox(max_items=2, max_bytes=100)
    assert [items.put("x") for _ in range(3)] == [True, True, False]
    size = Outbox(max_items=100, max_bytes=4)
    assert [size.put("xx") for _ in range(3)] == [True, True, False]
    grown = Outbox(max_items=100, max_bytes=4)
    assert [grown.put("xx", key="k"), grown.put("xxxxx", key="k")] == [True, False]


def test_get_waits_for_the_next_frame() -> None:
    async def main() -> str | bytes:
        outbox = Outbox(max_items=2, max_bytes=100)
        asyncio.get_running_loop().call_later(60, outbox.put, "late")
        return await outbox.get()

    assert virtual_time.run(main()) == "late"


def test_room_is_waited_for_until_half_of_it_is_taken() -> None:
    async def main() -> None:
        outbox = Outbox(max_items=4, max_bytes=100)
        for frame in "abc":
            outbox.put(frame)
        waiting = asyncio.create_task(outbox.has_room())
        await asyncio.sleep(1)
        assert not waiting.done()
        await outbox.get()
        await asyncio.sleep(1)
        assert waiting.done()
        await outbox.has_room()

    virtual_time.run(main())
