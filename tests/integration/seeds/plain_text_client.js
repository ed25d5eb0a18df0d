const ws = new WebSocket('ws://localhost:8000');

ws.onopen = () => {
    // Send binary audio data
    ws.send(audioBuffer);
};

ws.onmessage = (event) => {
    console.log('Transcription:', event.data);
};
