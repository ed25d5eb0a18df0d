// The part of the recorder that runs on the audio thread.
//
// Loaded twice: as a worklet module, and as a script of the page, which hands its text to pages opened from disk.
// There a browser loads worklets from data: URLs alone.
"use strict";

function recorderWorklet() {
  const CHUNK_SECONDS = 0.06;

  /** Mixes to mono, turns to PCM16 and posts {pcm, peak} about every 60 ms; a "flush" posts the tail, then {flushed}. */
  class RecorderProcessor extends AudioWorkletProcessor {
    constructor() {
      super();
      this.chunk = new Int16Array(Math.round(sampleRate * CHUNK_SECONDS));
      this.length = 0;
      this.peak = 0;
      this.isLive = true;
      this.port.onmessage = () => {
        this.post();
        this.port.postMessage({ flushed: true });
        this.isLive = false;
      };
    }

    process(inputs) {
      const channels = inputs[0];
      if (this.isLive && channels.length > 0) {
        for (let i = 0; i < channels[0].length; i += 1) {
          let sum = 0;
          for (const channel of channels) {
            sum += channel[i];
          }
          this.add(sum / channels.length);
        }
      }
      return this.isLive;
    }

    add(sample) {
      const clipped = Math.max(-1, Math.min(1, sample));
      this.peak = Math.max(this.peak, Math.abs(clipped));
      this.chunk[this.length] = Math.round(clipped * 32767);
      this.length += 1;
      if (this.length === this.chunk.length) {
        this.post();
      }
    }

    post() {
      if (this.length > 0) {
        const pcm = this.chunk.slice(0, this.length).buffer;
        this.port.postMessage({ pcm, peak: this.peak }, [pcm]);
        this.length = 0;
        this.peak = 0;
      }
    }
  }

  registerProcessor("hotmic-recorder", RecorderProcessor);
}

if (typeof AudioWorkletProcessor === "undefined") {
  globalThis.hotmic = Object.assign(globalThis.hotmic ?? {}, { recorderWorklet });
} else {
  recorderWorklet();
}
