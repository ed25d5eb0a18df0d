python websocket_server.py \
    --host 0.0.0.0 \
    --port 8000 \
    --model-id Oriserve/Whisper-Hindi2Hinglish-Swift \
    --device cuda \
    --dtype float16
