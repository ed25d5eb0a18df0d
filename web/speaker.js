// What this page says: the microphone on one side, the audio socket on the other.
"use strict";
{
  const { Recorder, Socket } = globalThis.hotmic;

  const KEPT_SECONDS = 30;
  const LATE_SECONDS = 3;
  const FINALS_LIMIT = 20_000;

  /**
   * One recording after another.
   *
   * Events: `state` (detail: "idle", "starting", "recording" or "finishing"); `level` (detail: peak from 0 to 1);
   * `problem` (detail: a sentence); `late` (detail: whether the network is behind the sound); `message` (detail: what
   * the audio socket said).
   */
  class Speaker extends EventTarget {
    state = "idle";
    session = "";
    #recorder = null;
    #socket = null;
    #kept = [];
    #keptBytes = 0;
    #isLate = false;
    #isHeard = false;
    #timer = null;

    /** Start; `address(parameters)` returns where the audio goes. */
    async start({ address, token, deviceId, cleanup }) {
      this.#become("starting");
      const recorder = new Recorder();
      try {
        await recorder.open({ deviceId, cleanup });
        this.session = `page-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
        const target = address({ sample_rate: String(recorder.sampleRate), session: this.session });
        this.#openSocket(target, token);
      } catch (error) {
        await recorder.close();
        this.#become("idle");
        throw error;
      }
      this.#recorder = recorder;
      recorder.addEventListener("chunk", (event) => this.#take(event.detail));
      recorder.addEventListener("gone", () => {
        this.#tell("problem", "The microphone was unplugged; the recording ended.");
        this.stop();
      });
      this.#become("recording");
    }

    /** Say whether this page hears the daemon: what is spoken while it does not is held back, or its text were lost. */
    setHeard(isHeard) {
      this.#isHeard = isHeard;
      if (isHeard) {
        this.#socket?.hurry();
        this.#drain();
      }
    }

    async change(options) {
      await this.#recorder?.change(options);
    }

    /** Send the tail and wait for the last final. */
    async stop() {
      if (this.state !== "recording") {
        return;
      }
      this.#become("finishing");
      const recorder = this.#recorder;
      await recorder.close();
      this.#tell("level", 0);
      if (this.#recorder !== recorder) {
        return; // cancelled meanwhile
      }
      this.#recorder = null;
      this.#timer = setTimeout(() => this.#giveUp(), FINALS_LIMIT);
      if (this.#isReady) {
        this.#socket.say({ type: "audio_end" });
      }
    }

    /** Everything that was said has come out. */
    finish(session) {
      if (this.state === "finishing" && session.startsWith(this.session)) {
        this.#rest();
      }
    }

    /** End at once; what is under way is lost to this page. */
    async cancel() {
      const recorder = this.#recorder;
      this.#recorder = null;
      this.#rest();
      await recorder?.close();
      this.#tell("level", 0);
    }

    #openSocket(target, token) {
      const socket = new Socket(() => target, { token });
      this.#socket = socket;
      socket.addEventListener("open", () => this.#drain());
      socket.addEventListener("message", (event) => this.#tell("message", event.detail));
      socket.addEventListener("refused", (event) => {
        this.#tell("problem", `The daemon does not take this page's sound: ${event.detail.reason}`);
        this.cancel();
      });
      socket.open();
    }

    #take({ pcm, peak }) {
      this.#tell("level", peak);
      if (this.#socket === null) {
        return;
      }
      if (this.#isReady) {
        this.#socket.sendBytes(pcm);
      } else {
        this.#keep(pcm);
      }
      const isLate = this.#socket.waitingBytes > LATE_SECONDS * this.#bytesPerSecond;
      if (isLate !== this.#isLate) {
        this.#isLate = isLate;
        this.#tell("late", isLate);
      }
    }

    get #isReady() {
      return this.#isHeard && this.#socket !== null && this.#socket.isOpen;
    }

    get #bytesPerSecond() {
      return 2 * (this.#recorder?.sampleRate ?? 48_000);
    }

    /** Hold sound back while the connection is down, the newest 30 seconds of it. */
    #keep(pcm) {
      this.#kept.push(pcm);
      this.#keptBytes += pcm.byteLength;
      while (this.#keptBytes > KEPT_SECONDS * this.#bytesPerSecond) {
        this.#keptBytes -= this.#kept.shift().byteLength;
      }
    }

    #drain() {
      if (!this.#isReady) {
        return;
      }
      this.#kept.forEach((pcm) => this.#socket.sendBytes(pcm));
      this.#kept = [];
      this.#keptBytes = 0;
      if (this.state === "finishing" && this.#recorder === null) {
        this.#socket.say({ type: "audio_end" });
      }
    }

    #giveUp() {
      this.#tell("problem", "The last words did not come back in time.");
      this.#rest();
    }

    #rest() {
      clearTimeout(this.#timer);
      this.#socket?.close();
      this.#socket = null;
      this.#kept = [];
      this.#keptBytes = 0;
      this.#become("idle");
    }

    #become(state) {
      this.state = state;
      this.#tell("state", state);
    }

    #tell(type, detail) {
      this.dispatchEvent(new CustomEvent(type, { detail }));
    }
  }

  globalThis.hotmic = Object.assign(globalThis.hotmic ?? {}, { Speaker });
}
