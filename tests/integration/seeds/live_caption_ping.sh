python test_websocket.py --ping
