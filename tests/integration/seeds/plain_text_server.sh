python websocket_server.py
