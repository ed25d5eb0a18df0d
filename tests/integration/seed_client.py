"""The Python example of the original server's guide, with its addresses and its use of the text replaced.

Usage: ``seed_client.py AUDIO_URI PCM_FILE``. Prints what it hears on the audio socket as JSON lines, and a line
``{"type": "sent"}`` once all audio is sent.
"""

import asyncio
import base64
import json
import sys
from pathlib import Path

import websockets

CHUNK = 2048


async def connect_to_asr(uri: str, pcm: bytes) -> None:
    async with websockets.connect(uri) as websocket:

        async def listen() -> None:
            while True:
                # Receive transcription
                response = await websocket.recv()
                data = json.loads(response)
                print(json.dumps({"type": data["type"], "text": data["text"]}), flush=True)
                if data["is_final"]:
                    return

        listening = asyncio.create_task(listen())
        for begin in range(0, len(pcm), CHUNK):
            audio_data = pcm[begin : begin + CHUNK]
            # Send audio chunk
            audio_b64 = base64.b64encode(audio_data).decode("utf-8")
            await websocket.send(json.dumps({"type": "audio_chunk", "data": audio_b64}))
            await asyncio.sleep(len(audio_data) / 32_000)
        print(json.dumps({"type": "sent"}), flush=True)
        await listening


if __name__ == "__main__":
    asyncio.run(connect_to_asr(sys.argv[1], Path(sys.argv[2]).read_bytes()))
