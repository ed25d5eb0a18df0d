import asyncio
import websockets
import json
import pyaudio
import numpy as np

async def stream_audio():
    uri = "ws://localhost:8000/ws/transcribe"
    
    async with websockets.connect(uri) as websocket:
        # Start recording
        await websocket.send(json.dumps({"type": "start_recording"}))
        
        # Set up audio
        p = pyaudio.PyAudio()
        stream = p.open(format=pyaudio.paFloat32, channels=1, 
                       rate=16000, input=True, frames_per_buffer=1600)
        
        # Stream for 10 seconds
        for _ in range(100):
            data = stream.read(1600)
            audio = np.frombuffer(data, dtype=np.float32)
            pcm16 = (audio * 32767).astype(np.int16)
            await websocket.send(pcm16.tobytes())
            
            # Check for results
            try:
                message = await asyncio.wait_for(websocket.recv(), timeout=0.01)
                result = json.loads(message)
                if result.get('type') == 'transcription':
                    print(f"Transcription: {result['text']}")
            except asyncio.TimeoutError:
                pass
        
        await websocket.send(json.dumps({"type": "stop_recording"}))
        stream.close()

asyncio.run(stream_audio())
