python test_websocket.py ./test.wav
