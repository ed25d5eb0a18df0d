python test_websocket.py --simulate
