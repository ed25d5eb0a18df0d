// Connect
const ws = new WebSocket('ws://localhost:8000/ws/transcribe');

// Start recording
ws.send(JSON.stringify({
    type: 'start_recording',
    config: { sample_rate: 16000 }
}));

// Send audio data
ws.send(pcm16AudioBuffer);

// Receive transcriptions
ws.onmessage = (event) => {
    const result = JSON.parse(event.data);
    if (result.type === 'transcription') {
        console.log(result.text);
    }
};
