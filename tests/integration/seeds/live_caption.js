const ws = new WebSocket('ws://localhost:8765');

ws.onopen = async () => {
    // Set language
    ws.send(JSON.stringify({
        type: 'config',
        language: 'en'
    }));
    
    // Start microphone
    const stream = await navigator.mediaDevices.getUserMedia({ 
        audio: { sampleRate: 16000, channelCount: 1 }
    });
    
    const mediaRecorder = new MediaRecorder(stream);
    mediaRecorder.ondataavailable = async (event) => {
        const arrayBuffer = await event.data.arrayBuffer();
        ws.send(arrayBuffer);
    };
    
    mediaRecorder.start(500); // Send chunks every 500ms
};

ws.onmessage = (event) => {
    const data = JSON.parse(event.data);
    if (data.type === 'transcription') {
        console.log('Transcription:', data.text);
        console.log('RTF:', data.rtf);
    }
};
