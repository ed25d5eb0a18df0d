// The page: parts are made here and told about each other.
"use strict";
{
  const { FORMATS, Notices, Picker, Socket, Speaker, Transcript, clock, findAddresses, save, withQuery } =
    globalThis.hotmic;

  const DAEMON = "daemon"; // key of the one notice about the connection
  const SOUND = "sound"; // key of the one notice about the sound's connection
  const REMEMBERED = 512; // finals whose second telling is recognised; the daemon tells 256 again
  const GOOD_LAG = 700;
  const FAIR_LAG = 1500;
  const STATES = {
    disconnected: "Disconnected",
    connecting: "Connecting …",
    connected: "Connected",
    reconnecting: "Reconnecting …",
    refused: "Not allowed",
  };
  const RECORD_LABELS = { idle: "Record", starting: "Starting …", recording: "Stop", finishing: "Finishing …" };

  const at = (id) => document.getElementById(id);

  const notices = new Notices(at("notices"));
  const speaker = new Speaker();
  const transcript = new Transcript({ paper: at("paper"), finals: at("finals"), partials: at("partials") });
  const picker = new Picker({
    select: at("models"),
    load: at("load"),
    about: at("model-about"),
    loading: at("loading"),
    loadingText: at("loading-text"),
    progress: at("progress"),
    limited: at("limited"),
    notice: at("limited-notice"),
    phrases: at("phrases"),
  });
  let control = null;
  let state = "disconnected";
  let channel = "default";
  let newest = null; // the newest final told, at first the one before the greeting: what was said earlier is not news
  const heard = new Set();
  let startedAt = 0;
  let ticking = null;

  // connection

  function setState(next) {
    state = next;
    at("connect").textContent = ["disconnected", "refused"].includes(state) ? "Connect" : "Disconnect";
    picker.setOnline(state === "connected");
    showState();
    enableRecord();
  }

  /** Show whether both connections are there: the control socket's and, while one speaks, the sound's. */
  function showState() {
    const isSoundCut = state === "connected" && speaker.isCut;
    const shown = isSoundCut ? "reconnecting" : state;
    at("state").dataset.state = shown;
    at("state-text").textContent = STATES[shown];
    if (isSoundCut) {
      const sentence = "The connection for the sound is lost; what you say is kept. Trying again …";
      notices.show("error", sentence, SOUND);
    } else {
      notices.hide(SOUND);
    }
  }

  function connect() {
    disconnect();
    const address = at("control").value.trim();
    channel = at("channel").value.trim() || "default";
    newest = null;
    heard.clear();
    try {
      const target = withQuery(address, { channel });
      control = new Socket(() => target, { token: at("token").value.trim() });
      listen(control, address);
      control.open();
      setState("connecting");
    } catch (error) {
      control = null;
      setState("disconnected");
      at("connection").open = true;
      notices.show("error", error.message, DAEMON);
    }
  }

  function disconnect() {
    control?.close();
    control = null;
    if (speaker.state !== "idle") {
      speaker.cancel();
    }
    transcript.dropPartials();
    at("serving").textContent = "";
    notices.hide(DAEMON);
    setState("disconnected");
  }

  function listen(socket, address) {
    socket.addEventListener("open", () => {
      if (newest !== null) {
        socket.say(catchUp());
      }
      socket.say({ type: "get_models" });
      socket.say({ type: "get_status" });
    });
    socket.addEventListener("message", (event) => receive(event.detail));
    socket.addEventListener("refused", (event) => {
      control = null;
      setState("refused");
      at("connection").open = true;
      at("token").focus();
      const hint = at("token").value ? "Check the token under Connection." : "Enter a token under Connection.";
      notices.show("error", `The daemon refused this page: ${event.detail.reason} ${hint}`, DAEMON);
    });
    socket.addEventListener("down", (event) => {
      transcript.dropPartials();
      setState("reconnecting");
      notices.show("error", lossOf(address, event.detail), DAEMON);
    });
  }

  const catchUp = () => ({ type: "subscribe", channel, last_event_id: newest });

  function lossOf(address, { everOpen, reason }) {
    if (everOpen) {
      const why = reason ? ` (${reason})` : "";
      return `The connection to the daemon at ${address} is lost${why}. Trying again …`;
    }
    const hint = location.protocol === "file:" ? " A page opened from disk needs hotmic serve --allow-null-origin." : "";
    return `No daemon answers at ${address}. Is hotmic running?${hint} Trying again …`;
  }

  // what the daemon says

  const RECEIVERS = {
    connected(message) {
      notices.hide(DAEMON);
      newest ??= message.event_id ?? 0;
      setState("connected");
      picker.setCurrent(message.current_model, message);
      if (message.recorded) {
        notices.show("warning", "This session is being recorded to disk.", "recorded");
      } else {
        notices.hide("recorded");
      }
    },
    available_models(message) {
      picker.list(message);
      showServing(message.current_model);
    },
    model_loading: (message) => picker.showProgress(message),
    model_loaded(message) {
      picker.endProgress(message.model_id);
      picker.setCurrent(message.model_id, message);
      showServing(message.model_id);
      control.say({ type: "get_status" });
    },
    model_unloaded: () => control.say({ type: "get_models" }),
    models_changed(message) {
      if (message.problem) {
        notices.show("warning", `models.yaml was edited and not taken: ${message.problem}`, "models.yaml");
      } else {
        notices.hide("models.yaml");
      }
      control.say({ type: "get_models" });
    },
    status(message) {
      const model = message.models.find((row) => row.model_id === message.current_model);
      showServing(message.current_model, model);
      for (const { code, message: sentence } of message.warnings) {
        notices.show(code === "cpu" ? "info" : "warning", sentence, code);
      }
    },
    warning: ({ code, message }) => notices.show(code === "cpu" ? "info" : "warning", message, code),
    error: showError,
    realtime_transcription(message) {
      showLag(message.text === "" ? undefined : message.lag_ms);
      transcript.receive(message);
    },
    final_transcription(message) {
      speaker.settle(message);
      if (!isNews(message)) {
        return;
      }
      showLag(message.lag_ms);
      notices.hide("no_speech");
      transcript.receive(message);
    },
    recording_stopped(message) {
      transcript.dropPartials(message.session_id);
      speaker.finish(message.session_id);
    },
    speech_started: (message) => transcript.receive(message),
  };

  /** Return whether a final is told for the first time: both sockets tell it, and again after they were cut. */
  function isNews({ event_id: id }) {
    if (heard.has(id)) {
      return false;
    }
    heard.add(id);
    newest = Math.max(newest, id);
    if (heard.size > REMEMBERED) {
      heard.delete(heard.values().next().value);
    }
    return true;
  }

  function receive(message) {
    RECEIVERS[message.type]?.(message);
  }

  function showError(message) {
    if (message.code === "not_authorized" && control !== null && state !== "connected") {
      return; // the close that follows says it
    }
    if (message.model_id) {
      picker.endProgress(message.model_id);
    }
    if (message.session_id && message.segment_id) {
      transcript.dropPartials(message.session_id);
    }
    const later = message.retry_after_ms ? ` Try again in ${Math.ceil(message.retry_after_ms / 1000)} s.` : "";
    notices.show("error", `${message.message}${later}`);
  }

  function showServing(id, model) {
    const detail = model?.device ? ` · ${model.device} ${model.compute_type}` : "";
    at("serving").textContent = id ? `${picker.nameOf(id)}${detail}` : "No model is loaded";
  }

  function showLag(ms) {
    if (ms === undefined) {
      return;
    }
    at("latency").textContent = `${ms} ms`;
    at("latency").dataset.pace = ms <= GOOD_LAG ? "good" : ms <= FAIR_LAG ? "fair" : "slow";
  }

  // recording

  function enableRecord() {
    const isIdle = speaker.state === "idle";
    at("record").disabled = isIdle ? state !== "connected" : speaker.state !== "recording";
  }

  function showRecording(phase) {
    at("record").dataset.state = phase;
    at("record").ariaPressed = String(phase === "recording");
    at("record-text").textContent = RECORD_LABELS[phase];
    clearInterval(ticking);
    if (phase === "recording") {
      startedAt = performance.now();
      at("clock").textContent = clock(0);
      ticking = setInterval(() => (at("clock").textContent = clock((performance.now() - startedAt) / 1000)), 250);
      listDevices();
    }
    enableRecord();
  }

  const microphone = () => ({ deviceId: at("devices").value, cleanup: at("cleanup").checked });

  async function toggleRecording() {
    if (speaker.state === "recording") {
      await speaker.stop();
      return;
    }
    notices.hide("microphone");
    const target = at("audio").value.trim();
    const address = (parameters) => withQuery(target, { ...parameters, channel });
    try {
      await speaker.start({ address, token: at("token").value.trim(), catchUp, ...microphone() });
    } catch (error) {
      notices.show("error", error.message, "microphone");
    }
  }

  async function changeMicrophone() {
    try {
      await speaker.change(microphone());
      notices.hide("microphone");
    } catch (error) {
      notices.show("error", error.message, "microphone");
    }
  }

  async function listDevices() {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    const options = devices
      .filter((device) => device.kind === "audioinput" && device.deviceId && device.deviceId !== "default")
      .map((device, i) => new Option(device.label || `Microphone ${i + 1}`, device.deviceId));
    const chosen = at("devices").value;
    at("devices").replaceChildren(new Option("System default", ""), ...options);
    at("devices").value = options.some((option) => option.value === chosen) ? chosen : "";
  }

  function showLevel(peak) {
    // 0 to 60 dB below full scale, as loudness is heard.
    const share = peak > 0 ? Math.max(0, 1 + (20 * Math.log10(peak)) / 60) : 0;
    at("meter-fill").style.setProperty("--level", share.toFixed(3));
    at("meter").ariaValueNow = String(Math.round(share * 100));
    at("meter").classList.toggle("hot", peak > 0.98);
  }

  speaker.addEventListener("state", (event) => showRecording(event.detail));
  speaker.addEventListener("level", (event) => showLevel(event.detail));
  speaker.addEventListener("problem", (event) => notices.show("error", event.detail, "microphone"));
  speaker.addEventListener("cut", showState);
  speaker.addEventListener("message", (event) => receive(event.detail));
  speaker.addEventListener("late", (event) => {
    if (event.detail) {
      notices.show("warning", "The network is slower than the sound; the text will come late.", "late");
    } else {
      notices.hide("late");
    }
  });

  // the page

  function showTranscript() {
    at("empty").hidden = !transcript.isEmpty;
    const hasFinals = transcript.segments.length > 0;
    for (const id of [...Object.keys(FORMATS).map((format) => `export-${format}`), "clear"]) {
      at(id).disabled = !hasFinals;
    }
  }

  transcript.addEventListener("change", showTranscript);
  picker.addEventListener("load", (event) => control.say({ type: "load_model", model_id: event.detail }));
  at("record").addEventListener("click", toggleRecording);
  at("devices").addEventListener("change", changeMicrophone);
  at("cleanup").addEventListener("change", changeMicrophone);
  at("clear").addEventListener("click", () => transcript.clear());
  at("connect").addEventListener("click", () => (control === null ? connect() : disconnect()));
  at("addresses").addEventListener("submit", (event) => {
    event.preventDefault();
    connect();
  });
  for (const format of Object.keys(FORMATS)) {
    at(`export-${format}`).addEventListener("click", () => save(transcript.segments, format));
  }
  navigator.mediaDevices?.addEventListener("devicechange", listDevices);

  async function begin() {
    setState("connecting");
    try {
      const addresses = await findAddresses(location);
      at("control").value = addresses.control;
      at("audio").value = addresses.audio;
      at("channel").value = new URLSearchParams(location.search).get("channel") ?? "";
    } catch (error) {
      setState("disconnected");
      notices.show("error", `The page could not ask the daemon for its addresses: ${error.message}`, DAEMON);
      return;
    }
    connect();
    await listDevices();
  }

  begin();
}
