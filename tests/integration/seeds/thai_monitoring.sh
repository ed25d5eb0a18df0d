# Monitor GPU usage
nvidia-smi -l 1

# Monitor server logs
tail -f server.log

# Test WebSocket connection
wscat -c ws://localhost:8765
