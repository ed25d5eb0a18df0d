python websocket_server.py --model-id Oriserve/Whisper-Hindi2Hinglish-Prime
