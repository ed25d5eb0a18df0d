const WebSocket = require('ws');

const ws = new WebSocket('ws://localhost:8766');

ws.on('open', () => {
    console.log('Connected to Thai ASR server');
});

ws.on('message', (data) => {
    const message = JSON.parse(data);
    if (message.type === 'final_transcription') {
        console.log('Thai text:', message.text);
    }
});

// Send audio data
function sendAudio(audioBuffer) {
    const base64Audio = audioBuffer.toString('base64');
    ws.send(JSON.stringify({
        type: 'audio_chunk',
        data: base64Audio
    }));
}
