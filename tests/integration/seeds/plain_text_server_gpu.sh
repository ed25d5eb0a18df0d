python websocket_server.py --device cuda --dtype float16
