import asyncio
import websockets
import json
import base64

async def connect_to_asr():
    uri = "ws://localhost:8766"
    async with websockets.connect(uri) as websocket:
        # Send audio chunk
        audio_b64 = base64.b64encode(audio_data).decode('utf-8')
        await websocket.send(json.dumps({
            'type': 'audio_chunk',
            'data': audio_b64
        }))
        
        # Receive transcription
        response = await websocket.recv()
        data = json.loads(response)
        print(f"Transcription: {data['text']}")
