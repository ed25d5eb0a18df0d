// The Node.js example of the original server's guide, with its addresses and its use of the text replaced.
//
// Usage: seed_client.mjs AUDIO_URI PCM_FILE. Prints what it hears on the audio socket as JSON lines, and a line
// {"type": "sent"} once all audio is sent.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

const require = createRequire(import.meta.url);
const CHUNK = 2048;
const [uri, file] = process.argv.slice(2);

const WebSocket = require('ws');

const ws = new WebSocket(uri);

ws.on('open', async () => {
    const pcm = readFileSync(file);
    for (let begin = 0; begin < pcm.length; begin += CHUNK) {
        sendAudio(pcm.subarray(begin, begin + CHUNK));
        await sleep(CHUNK / 32);
    }
    console.log(JSON.stringify({ type: 'sent' }));
});

ws.on('message', (data) => {
    const message = JSON.parse(data);
    console.log(JSON.stringify({ type: message.type, text: message.text }));
    if (message.type === 'final_transcription') {
        ws.close();
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
