// Use WebSocket with react-native-audio-record
import { WebSocket } from 'react-native';
import AudioRecord from 'react-native-audio-record';

const ws = new WebSocket('ws://your-server:8000/ws/transcribe');
AudioRecord.init({ sampleRate: 16000, channels: 1, bitsPerSample: 16 });
