import websockets
import asyncio

async def transcribe():
    uri = "ws://localhost:8000"
    async with websockets.connect(uri) as websocket:
        # Send audio
        await websocket.send(audio_bytes)
        # Receive transcription
        transcription = await websocket.recv()
        print(transcription)

asyncio.run(transcribe())
