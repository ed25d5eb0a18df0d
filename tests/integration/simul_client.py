"""A client made of the snippets of the simultaneous server's document: NumPy arrays out, transcripts in.

Usage: ``simul_client.py URI WAV``. Sends the file in real time and two seconds of silence, and prints what it hears.
"""

import asyncio
import io
import sys
import wave

import numpy as np
import websockets

CHUNK = 1600


async def main(uri: str, path: str) -> None:
    with wave.open(path) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    sound = np.concatenate([samples, np.zeros(32_000, dtype=np.int16)]).astype(np.float32) / np.float32(32768)
    async with websockets.connect(uri) as websocket:

        async def listen() -> None:
            async for message in websocket:
                print(message if isinstance(message, str) else message.decode(), flush=True)

        listening = asyncio.create_task(listen())
        for begin in range(0, len(sound), CHUNK):
            audio_chunk = np.array(sound[begin : begin + CHUNK], dtype=np.float32)

            # Serialize and send
            buf = io.BytesIO()
            np.save(buf, audio_chunk, allow_pickle=False)
            await websocket.send(buf.getvalue())
            await asyncio.sleep(CHUNK / 16_000)
        await asyncio.sleep(2)
        await websocket.close()
        await listening


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
