// What this page says: the microphone on one side, the audio socket on the other.
"use strict";
{
  const { Recorder, Socket } = globalThis.hotmic;

  const KEPT_SECONDS = 120;
  const LATE_SECONDS = 3;
  const BASE64_GROWTH = 4 / 3;
  const FINALS_LIMIT = 20_000;
  const TOLD = new Set(["final_transcription", "recording_stopped", "error"]);

  /**
   * One recording after another.
   *
   * Sound goes out as numbered chunks. One is kept until the daemon says that its text was told, and sent again when
   * the connection broke: to the same session where the daemon still holds it, else to a new one.
   *
   * Events: `state` (detail: "idle", "starting", "recording" or "finishing"); `level` (detail: peak from 0 to 1);
   * `cut` when `isCut` changed; `problem` (detail: a sentence); `late` (detail: whether the network is behind the
   * sound); `message` (detail: a final, the end of a recording, an error or a rate limit that the audio socket told).
   */
  class Speaker extends EventTarget {
    state = "idle";
    /** Whether the connection broke and is not there again. */
    isCut = false;
    #daemon = null;
    #recorder = null;
    #socket = null;
    #sampleRate = 0;
    #name = "";
    #attempts = 0;
    #session = "";
    #isReady = false;
    #nextSeq = 0;
    #kept = [];
    #keptBytes = 0;
    #hasLost = false;
    #isLate = false;
    #timer = null;

    /**
     * Start.
     *
     * `address(parameters)` returns where the audio goes, `catchUp()` the message that asks for the finals that this
     * page missed.
     */
    async start({ address, token, catchUp, deviceId, cleanup }) {
      this.#become("starting");
      const recorder = new Recorder();
      try {
        await recorder.open({ deviceId, cleanup });
        this.#daemon = { address, token, catchUp };
        this.#name = `page-${crypto.getRandomValues(new Uint32Array(2)).join("-")}-`;
        this.#sampleRate = recorder.sampleRate;
        this.#openSocket();
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
      if (this.#isReady) {
        this.#sayEnd();
      }
    }

    /** Forget what is settled by an acknowledgement or a final, whichever socket told it. */
    settle({ session_id: session, seq }) {
      if (seq === undefined || !this.#isMine(session)) {
        return;
      }
      while (this.#kept.length > 0 && this.#kept[0].seq <= seq) {
        this.#forgetOldest();
      }
      if (this.#timer !== null) {
        this.#waitForFinals();
      }
    }

    /** Everything that was said has come out. */
    finish(session) {
      if (this.#timer !== null && session === this.#session) {
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

    // connection

    #openSocket() {
      const { address, token } = this.#daemon;
      this.#lose();
      this.#socket?.close();
      const attempt = () => {
        this.#attempts += 1;
        return address({ session: this.#wish });
      };
      const socket = new Socket(attempt, { token });
      socket.addEventListener("open", () => this.#greet());
      socket.addEventListener("message", (event) => this.#receive(event.detail));
      socket.addEventListener("down", () => {
        this.#lose();
        this.#setCut(true);
      });
      socket.addEventListener("refused", (event) => {
        this.#tell("problem", `The daemon does not take this page's sound: ${event.detail.reason}`);
        this.cancel();
      });
      socket.open();
      this.#socket = socket;
    }

    #greet() {
      if (this.#session === "") {
        this.#begin();
        return;
      }
      // The finals first: what they settle need not be sent again, even if the session is gone.
      this.#socket.say(this.#daemon.catchUp());
      this.#socket.say({ type: "resume", session_id: this.#session });
    }

    #receive(message) {
      if (message.type === "ack") {
        this.settle(message);
      } else if (message.type === "resumed") {
        this.#resume(message.next_seq);
      } else if (message.code === "session_gone") {
        this.#begin();
      } else if (message.code === "sequence_gap") {
        this.#openSocket();
      } else if (TOLD.has(message.type) || message.code === "rate_limited") {
        this.#tell("message", message);
      }
    }

    #begin() {
      this.#session = this.#wish;
      this.#sendFrom(0);
    }

    #resume(nextSeq) {
      if (nextSeq < (this.#kept[0]?.seq ?? this.#nextSeq)) {
        // The session waits for sound that is not kept any more, so it has to be another one.
        this.#session = "";
        this.#openSocket();
        this.#sayLost();
      } else {
        this.#sendFrom(nextSeq);
      }
    }

    #sendFrom(seq) {
      this.#isReady = true;
      this.#kept.filter((chunk) => chunk.seq >= seq).forEach((chunk) => this.#send(chunk));
      if (this.state === "finishing" && this.#recorder === null) {
        this.#sayEnd();
      }
      this.#setCut(false);
    }

    #lose() {
      this.#isReady = false;
      this.#stopWaiting();
    }

    #setCut(isCut) {
      if (isCut !== this.isCut) {
        this.isCut = isCut;
        this.#tell("cut");
      }
    }

    /** Another name with every connection: segments of a session that follows one must not be taken for its. */
    get #wish() {
      return `${this.#name}${this.#attempts}`;
    }

    #isMine(session) {
      return this.#name !== "" && session.startsWith(this.#name);
    }

    // sound

    #take({ pcm, peak }) {
      this.#tell("level", peak);
      if (this.#socket === null) {
        return;
      }
      const chunk = { seq: this.#nextSeq, pcm };
      this.#nextSeq += 1;
      this.#keep(chunk);
      if (this.#isReady) {
        this.#send(chunk);
      }
      const isLate = this.#socket.waitingBytes > LATE_SECONDS * this.#bytesPerSecond * BASE64_GROWTH;
      if (isLate !== this.#isLate) {
        this.#isLate = isLate;
        this.#tell("late", isLate);
      }
    }

    #send({ seq, pcm }) {
      const data = btoa(String.fromCharCode(...new Uint8Array(pcm)));
      this.#socket.say({ type: "audio_chunk", data, sample_rate: this.#sampleRate, seq });
    }

    get #bytesPerSecond() {
      return 2 * this.#sampleRate;
    }

    #keep(chunk) {
      this.#kept.push(chunk);
      this.#keptBytes += chunk.pcm.byteLength;
      while (this.#keptBytes > KEPT_SECONDS * this.#bytesPerSecond) {
        this.#forgetOldest();
        if (!this.#isReady) {
          this.#sayLost();
        }
      }
    }

    #forgetOldest() {
      this.#keptBytes -= this.#kept.shift().pcm.byteLength;
    }

    #sayLost() {
      if (!this.#hasLost) {
        this.#hasLost = true;
        this.#tell("problem", `The page keeps ${KEPT_SECONDS} seconds of sound; what was said before is lost.`);
      }
    }

    // the end

    #sayEnd() {
      this.#socket.say({ type: "audio_end" });
      this.#waitForFinals();
    }

    #waitForFinals() {
      this.#stopWaiting();
      this.#timer = setTimeout(() => {
        this.#tell("problem", "The last words did not come back in time.");
        this.#rest();
      }, FINALS_LIMIT);
    }

    #stopWaiting() {
      clearTimeout(this.#timer);
      this.#timer = null;
    }

    #rest() {
      this.#lose();
      this.#socket?.close();
      this.#socket = null;
      this.#name = this.#session = "";
      this.#attempts = this.#nextSeq = this.#keptBytes = 0;
      this.#kept = [];
      this.#hasLost = false;
      this.#setCut(false);
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
