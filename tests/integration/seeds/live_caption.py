import asyncio
import websockets
import wave

async def transcribe_file(audio_path):
    async with websockets.connect("ws://localhost:8765") as ws:
        # Wait for connection message
        await ws.recv()
        
        # Send audio file
        with wave.open(audio_path, 'rb') as wf:
            while True:
                frames = wf.readframes(16000)  # 1 second chunks
                if not frames:
                    break
                await ws.send(frames)
                
                # Get transcription
                response = await ws.recv()
                print(response)

asyncio.run(transcribe_file("./test.wav"))
