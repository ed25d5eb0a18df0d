# Health check
curl http://localhost:8000/health/extended

# WebSocket status
curl http://localhost:8000/ws/status
