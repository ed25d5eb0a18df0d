import React, { useState, useRef, useEffect } from 'react';

const RNNTRecorder = ({ serverUrl = 'ws://localhost:8000/ws/transcribe' }) => {
    const [isRecording, setIsRecording] = useState(false);
    const [transcript, setTranscript] = useState('');
    const wsRef = useRef(null);
    const mediaRecorderRef = useRef(null);
    
    useEffect(() => {
        // Initialize WebSocket
        wsRef.current = new WebSocket(serverUrl);
        wsRef.current.onmessage = (event) => {
            const data = JSON.parse(event.data);
            if (data.type === 'transcription') {
                setTranscript(prev => prev + ' ' + data.text);
            }
        };
        
        return () => wsRef.current?.close();
    }, [serverUrl]);
    
    const startRecording = async () => {
        const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
        const audioContext = new AudioContext({ sampleRate: 16000 });
        const source = audioContext.createMediaStreamSource(stream);
        const processor = audioContext.createScriptProcessor(1600, 1, 1);
        
        wsRef.current.send(JSON.stringify({ type: 'start_recording' }));
        
        processor.onaudioprocess = (e) => {
            const float32 = e.inputBuffer.getChannelData(0);
            const int16 = new Int16Array(float32.length);
            
            for (let i = 0; i < float32.length; i++) {
                const s = Math.max(-1, Math.min(1, float32[i]));
                int16[i] = s < 0 ? s * 0x8000 : s * 0x7FFF;
            }
            
            wsRef.current.send(int16.buffer);
        };
        
        source.connect(processor);
        processor.connect(audioContext.destination);
        
        mediaRecorderRef.current = { processor, audioContext, stream };
        setIsRecording(true);
    };
    
    const stopRecording = () => {
        const { processor, audioContext, stream } = mediaRecorderRef.current || {};
        
        processor?.disconnect();
        audioContext?.close();
        stream?.getTracks().forEach(track => track.stop());
        
        wsRef.current.send(JSON.stringify({ type: 'stop_recording' }));
        setIsRecording(false);
    };
    
    return (
        <div>
            <button onClick={isRecording ? stopRecording : startRecording}>
                {isRecording ? 'Stop' : 'Start'} Recording
            </button>
            <div>{transcript}</div>
        </div>
    );
};
