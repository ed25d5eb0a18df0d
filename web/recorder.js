// The microphone as chunks of PCM16 at the browser's own rate.
"use strict";
{
  const WORKLET = new URL("recorder-worklet.js", document.currentScript.src).href;
  const FLUSH_LIMIT = 1000;

  const REASONS = {
    NotAllowedError: "The browser did not allow the microphone. Allow it for this page and press Record again.",
    NotFoundError: "No microphone was found.",
    NotReadableError: "The microphone is in use by another program, or the system refuses it.",
    OverconstrainedError: "The chosen microphone is gone; choose another one.",
  };

  /** Return why there is no microphone as a sentence for people. */
  function microphoneProblem(error) {
    return REASONS[error.name] ?? `The microphone could not be opened: ${error.message}`;
  }

  /** Events: `chunk` (detail: {pcm: ArrayBuffer, peak: 0 to 1}); `gone` when the device was unplugged. */
  class Recorder extends EventTarget {
    #context = null;
    #stream = null;
    #source = null;
    #node = null;

    get sampleRate() {
      return this.#context.sampleRate;
    }

    /** Open the device; throws an Error with a sentence for people. */
    async open({ deviceId, cleanup }) {
      if (!navigator.mediaDevices?.getUserMedia) {
        throw new Error(
          "Browsers give the microphone to https pages and to this machine's own pages only. " +
            "Serve hotmic over https, or open it as http://localhost.",
        );
      }
      try {
        await this.#openStream(deviceId, cleanup);
        this.#context = new AudioContext({ latencyHint: "interactive" });
        await this.#context.audioWorklet.addModule(workletAddress());
        await this.#context.resume();
      } catch (error) {
        this.#release();
        throw new Error(microphoneProblem(error), { cause: error });
      }
      this.#node = new AudioWorkletNode(this.#context, "hotmic-recorder", { numberOfOutputs: 0 });
      this.#node.port.addEventListener("message", (event) => {
        if (event.data.pcm) {
          this.dispatchEvent(new CustomEvent("chunk", { detail: event.data }));
        }
      });
      this.#node.port.start();
      this.#connect();
    }

    /** Go on with another device without an end of the recording. */
    async change({ deviceId, cleanup }) {
      const old = this.#stream;
      try {
        await this.#openStream(deviceId, cleanup);
      } catch (error) {
        throw new Error(microphoneProblem(error), { cause: error });
      }
      this.#source.disconnect();
      old.getTracks().forEach((track) => track.stop());
      this.#connect();
    }

    /** Post the tail and let go of the device. */
    async close() {
      if (this.#node === null) {
        return;
      }
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, FLUSH_LIMIT);
        this.#node.port.addEventListener("message", (event) => {
          if (event.data.flushed) {
            clearTimeout(timer);
            resolve();
          }
        });
        this.#node.port.postMessage("flush");
      });
      this.#release();
    }

    async #openStream(deviceId, cleanup) {
      const stream = await navigator.mediaDevices.getUserMedia({
        audio: {
          ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
          channelCount: 1,
          echoCancellation: cleanup,
          noiseSuppression: cleanup,
          autoGainControl: cleanup,
        },
      });
      this.#stream = stream;
      stream.getAudioTracks()[0].addEventListener("ended", () => {
        if (stream === this.#stream) {
          this.dispatchEvent(new CustomEvent("gone"));
        }
      });
    }

    #connect() {
      this.#source = this.#context.createMediaStreamSource(this.#stream);
      this.#source.connect(this.#node);
    }

    #release() {
      const stream = this.#stream;
      this.#stream = null;
      stream?.getTracks().forEach((track) => track.stop());
      this.#source?.disconnect();
      this.#context?.close();
    }
  }

  function workletAddress() {
    if (location.protocol !== "file:") {
      return WORKLET;
    }
    return `data:text/javascript,${encodeURIComponent(`(${globalThis.hotmic.recorderWorklet})()`)}`;
  }

  globalThis.hotmic = Object.assign(globalThis.hotmic ?? {}, { Recorder });
}
