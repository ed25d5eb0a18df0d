python websocket_server.py --port 8001
