// A transcription session as OpenAI's documents show it for Node.js.
//
// Usage: realtime_client.mjs URL KEY PCM_FILE. Commits once all audio is sent, and prints the types and texts of what
// it hears as JSON lines.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const WebSocket = require("ws");
const [url, key, file] = process.argv.slice(2);
const CHUNK = 4800;

const ws = new WebSocket(url, { headers: { Authorization: `Bearer ${key}` } });

ws.on("open", () => {
    ws.send(JSON.stringify({
        type: "session.update",
        session: {
            type: "transcription",
            audio: {
                input: {
                    format: { type: "audio/pcm", rate: 24000 },
                    transcription: { model: "gpt-4o-mini-transcribe", language: "en" },
                    turn_detection: null,
                },
            },
        },
    }));
});

ws.on("message", (data) => {
    const event = JSON.parse(data);
    console.log(JSON.stringify({ type: event.type, text: event.transcript ?? event.delta, error: event.error }));
    if (event.type === "session.updated") {
        const pcm = readFileSync(file);
        for (let begin = 0; begin < pcm.length; begin += CHUNK) {
            const audio = pcm.subarray(begin, begin + CHUNK).toString("base64");
            ws.send(JSON.stringify({ type: "input_audio_buffer.append", audio }));
        }
        ws.send(JSON.stringify({ type: "input_audio_buffer.commit" }));
    }
    if (event.type.endsWith("transcription.completed") || event.type === "error") {
        ws.close();
    }
});
