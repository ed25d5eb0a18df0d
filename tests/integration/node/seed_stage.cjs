// Run a snippet of a document for Node.js and speak over the socket that it opens.
//
// Usage: seed_stage.cjs SNIPPET PCM_FILE, with seed_doors.cjs preloaded. The snippet finds `require`, with `ws` and
// stand-ins for the modules of React Native. If it has a function sendAudio, that gets the sound; if it only connects,
// the sound goes over its `ws` as the document's "Basic Usage" says. Prints what the snippet does as JSON lines.
const { readFileSync } = require("fs");
const { setTimeout: sleep } = require("timers/promises");
const { runInThisContext } = require("vm");
const { transformSync } = require("esbuild");

const CHUNK = 3200;
const [snippet, recording] = process.argv.slice(2);
const tell = (...what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const modules = {
    "react-native": { WebSocket: require("ws") },
    "react-native-audio-record": { __esModule: true, default: { init: (options) => tell("init", options) } },
};
globalThis.require = (name) => modules[name] ?? require(name);
console.log = (...words) => tell("log", ...words);

const source = readFileSync(snippet, "utf8");
// Modules that use `import` and JSX need a compiler; what a document prints for Node.js runs as it is.
const script = snippet.endsWith(".jsx") ? transformSync(source, { loader: "jsx", format: "cjs" }).code : source;
runInThisContext(script, { filename: snippet });
const ws = runInThisContext("ws");
const sendAudio = globalThis.sendAudio ?? ((audio) => ws.send(audio));

ws.on("open", async () => {
    if (!globalThis.sendAudio) {
        ws.send(JSON.stringify({ type: "start_recording", config: { sample_rate: 16000 } }));
    }
    const pcm = readFileSync(recording);
    for (let begin = 0; begin < pcm.length; begin += CHUNK) {
        sendAudio(pcm.subarray(begin, begin + CHUNK));
        await sleep(CHUNK / 32);
    }
    if (!globalThis.sendAudio) {
        ws.send(JSON.stringify({ type: "stop_recording" }));
    }
});
ws.on("message", (data) => {
    const { type, text } = JSON.parse(data);
    tell(type, text);
    if (type === "recording_stopped" || type === "final_transcription") {
        ws.close();
    }
});
