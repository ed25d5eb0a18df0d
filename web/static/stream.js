// A client of the streaming protocol of /ws/transcribe.
"use strict";
{
  const at = (id) => document.getElementById(id);
  const STATES = { connected: "Connected", connecting: "Connecting", disconnected: "Disconnected" };
  const TOKEN_WANTED = 1008;

  let socket = null;
  let recorder = null;
  const clientId = `page-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;

  function connect() {
    const address = new URL(`../ws/transcribe?client_id=${clientId}`, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    showState("connecting");
    const mine = (socket = new WebSocket(address));
    mine.addEventListener("open", () => {
      const token = at("token").value;
      if (token !== "") {
        send({ type: "authenticate", token });
      }
    });
    mine.addEventListener("message", (event) => hear(JSON.parse(event.data)));
    mine.addEventListener("close", (event) => {
      if (mine !== socket) {
        return;
      }
      socket = null;
      stopMicrophone();
      showState("disconnected");
      showRecording(false);
      tell(event.code === TOKEN_WANTED ? "The daemon asks for a token." : event.reason || "The connection is closed.");
    });
  }

  function send(message) {
    socket?.send(JSON.stringify(message));
  }

  function hear(message) {
    switch (message.type) {
      case "connection":
        at("notices").replaceChildren();
        showState("connected");
        break;
      case "recording_started":
        showRecording(true);
        break;
      case "recording_stopped":
        showRecording(false);
        break;
      case "partial":
        showInterim(message);
        break;
      case "transcription":
        if (message.is_final) {
          addFinal(message);
        }
        break;
      case "warning":
      case "error":
        tell(message.message);
        break;
    }
  }

  function showInterim({ text, unstable }) {
    at("interim").hidden = text === "";
    at("stable").textContent = text.slice(0, text.length - unstable.length);
    at("unstable").textContent = unstable;
  }

  function addFinal({ utterance, words, start }) {
    showInterim({ text: "", unstable: "" });
    const line = document.createElement("div");
    const time = document.createElement("span");
    const text = document.createElement("p");
    line.className = "line final";
    time.className = "time";
    text.className = "text";
    text.dir = "auto";
    time.textContent = `${start.toFixed(1)} s`;
    text.textContent = utterance;
    line.append(time, text);
    at("finals").append(line);
    line.scrollIntoView({ block: "end" });
    at("words").textContent = words.map((word) => `${word.word} ${word.start.toFixed(2)}–${word.end.toFixed(2)}`).join(" · ");
  }

  function showState(state) {
    at("state").dataset.state = state;
    at("state-text").textContent = STATES[state];
    at("connect").hidden = state !== "disconnected";
    at("record").disabled = state !== "connected";
  }

  function showRecording(isRecording) {
    at("record").dataset.state = isRecording ? "recording" : "idle";
    at("record").setAttribute("aria-pressed", String(isRecording));
    at("record-text").textContent = isRecording ? "Stop" : "Record";
  }

  function tell(sentence) {
    const notice = document.createElement("div");
    const text = document.createElement("p");
    notice.className = "notice error";
    text.textContent = sentence;
    notice.append(text);
    at("notices").replaceChildren(notice);
  }

  async function startMicrophone() {
    const mine = (recorder = new globalThis.hotmic.Recorder());
    try {
      await mine.open({ deviceId: "", cleanup: false });
    } catch (error) {
      recorder = null;
      tell(error.message);
      return;
    }
    send({ type: "start_recording", config: { sample_rate: mine.sampleRate, interim_results: true } });
    mine.addEventListener("chunk", (event) => socket?.send(event.detail.pcm));
    mine.addEventListener("gone", () => toggle());
  }

  async function stopMicrophone() {
    const mine = recorder;
    recorder = null;
    await mine?.close();
  }

  async function toggle() {
    at("record").disabled = true;
    if (recorder === null) {
      await startMicrophone();
    } else {
      await stopMicrophone();
      send({ type: "stop_recording" });
    }
    at("record").disabled = socket === null;
  }

  at("record").addEventListener("click", toggle);
  at("clear").addEventListener("click", () => at("finals").replaceChildren());
  at("connect").addEventListener("click", connect);
  at("access").addEventListener("submit", (event) => {
    event.preventDefault();
    const old = socket;
    socket = null;
    old?.close();
    stopMicrophone();
    connect();
  });
  connect();
}
