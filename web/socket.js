// A WebSocket of JSON messages that comes back after it was cut.
"use strict";
{
  const FIRST_WAIT = 500;
  const LONGEST_WAIT = 8000;
  const POLICY_VIOLATION = 1008;

  /**
   * One connection to the daemon, renewed until `close`.
   *
   * Events, as CustomEvents: `open`; `message` (detail: the parsed message); `down` (detail: {reason, wait_ms,
   * everOpen}), after which it tries again; `refused` (detail: {reason}), after which it does not.
   */
  class Socket extends EventTarget {
    #address;
    #token;
    #socket = null;
    #timer = null;
    #wait = FIRST_WAIT;
    #everOpen = false;
    #isWanted = false;

    /** `address` is a function, so that every attempt can use a fresh one. */
    constructor(address, { token = "" } = {}) {
      super();
      this.#address = address;
      this.#token = token;
    }

    /** Bytes that the network has not taken yet. */
    get waitingBytes() {
      return this.#socket === null ? 0 : this.#socket.bufferedAmount;
    }

    open() {
      this.#isWanted = true;
      this.#attempt();
    }

    close() {
      this.#isWanted = false;
      clearTimeout(this.#timer);
      const socket = this.#socket;
      this.#socket = null;
      socket?.close(1000);
    }

    say(message) {
      this.#socket.send(JSON.stringify(message));
    }

    #attempt() {
      const socket = new WebSocket(this.#address());
      this.#socket = socket;
      socket.addEventListener("open", () => {
        if (socket !== this.#socket) {
          return;
        }
        this.#everOpen = true;
        if (this.#token) {
          // A browser cannot set headers on a WebSocket, so the token is the first message.
          this.say({ type: "authenticate", token: this.#token });
        }
        this.#tell("open");
      });
      socket.addEventListener("message", (event) => {
        if (socket !== this.#socket) {
          return;
        }
        const message = JSON.parse(event.data);
        if (message.type !== "error") {
          // A daemon that takes connections only to turn them away is not asked again at once.
          this.#wait = FIRST_WAIT;
        }
        this.#tell("message", message);
      });
      socket.addEventListener("close", (event) => {
        if (socket === this.#socket) {
          this.#lose(event);
        }
      });
    }

    #lose(event) {
      this.#socket = null;
      if (!this.#isWanted) {
        return;
      }
      if (event.code === POLICY_VIOLATION) {
        this.#isWanted = false;
        this.#tell("refused", { reason: event.reason });
        return;
      }
      const wait = this.#wait * (0.8 + 0.4 * Math.random());
      this.#wait = Math.min(LONGEST_WAIT, this.#wait * 2);
      this.#timer = setTimeout(() => this.#attempt(), wait);
      this.#tell("down", { reason: event.reason, wait_ms: wait, everOpen: this.#everOpen });
    }

    #tell(type, detail) {
      this.dispatchEvent(new CustomEvent(type, { detail }));
    }
  }

  globalThis.hotmic = Object.assign(globalThis.hotmic ?? {}, { Socket });
}
