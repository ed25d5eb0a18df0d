// Main process
const { WebSocket } = require('ws');
const ws = new WebSocket('ws://localhost:8000/ws/transcribe');

// Renderer process audio capture
navigator.mediaDevices.getUserMedia({ audio: true })
    .then(stream => /* process audio */);
