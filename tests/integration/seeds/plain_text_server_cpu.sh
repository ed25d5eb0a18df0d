python websocket_server.py --device cpu --dtype float32
