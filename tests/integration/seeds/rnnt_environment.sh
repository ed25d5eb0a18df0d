# Environment variables
export RNNT_SERVER_HOST=0.0.0.0
export RNNT_SERVER_PORT=8000
export DEV_MODE=false
export LOG_LEVEL=INFO

# Start enhanced server
python docker/rnnt-server-websocket.py
