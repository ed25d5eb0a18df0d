// The smallest browser client of /ws/transcribe.
const address = new URL('../ws/transcribe', location.href);
address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
const ws = new WebSocket(address);

document.getElementById('start').onclick = async () => {
    const stream = await navigator.mediaDevices.getUserMedia({audio: true});
    const audioContext = new AudioContext({sampleRate: 16000});
    const source = audioContext.createMediaStreamSource(stream);
    // Browsers take powers of two alone here; 2048 samples are 128 ms.
    const processor = audioContext.createScriptProcessor(2048, 1, 1);

    ws.send(JSON.stringify({type: 'start_recording'}));

    processor.onaudioprocess = (e) => {
        const float32 = e.inputBuffer.getChannelData(0);
        const int16 = new Int16Array(float32.length);

        for (let i = 0; i < float32.length; i++) {
            const s = Math.max(-1, Math.min(1, float32[i]));
            int16[i] = s < 0 ? s * 0x8000 : s * 0x7FFF;
        }

        ws.send(int16.buffer);
    };

    source.connect(processor);
    processor.connect(audioContext.destination);
};

ws.onmessage = (event) => {
    const msg = JSON.parse(event.data);
    if (msg.type === 'transcription') {
        document.getElementById('output').textContent += msg.text + ' ';
    }
};
