// What was said: segments as data, and as lines on the page.
"use strict";
{
  const NEAR_BOTTOM = 48;

  /** Return seconds as m:ss or h:mm:ss. */
  function clock(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const two = (number) => String(number).padStart(2, "0");
    const minutes = Math.floor(whole / 60);
    return minutes < 60
      ? `${minutes}:${two(whole % 60)}`
      : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
  }

  /**
   * The lines of a channel.
   *
   * Partials stand in a list of their own below the finals: nothing of them is announced by screen readers, and since
   * both kinds are set alike, a line that becomes final keeps its place. Text goes in as text nodes only.
   */
  class Transcript extends EventTarget {
    #paper;
    #finals;
    #partials;
    #entries = new Map();
    #open = new Map();
    #origins = new Map();

    constructor({ paper, finals, partials }) {
      super();
      this.#paper = paper;
      this.#finals = finals;
      this.#partials = partials;
    }

    /** The finals in order of time; `start`, `end` and the words' times count from the first session's start. */
    get segments() {
      const zero = Math.min(...this.#origins.values());
      const shifted = [...this.#entries.values()].map(({ final }) => shift(final, this.#origins.get(lifeOf(final)) - zero));
      return shifted.sort((a, b) => a.start - b.start);
    }

    get isEmpty() {
      return this.#entries.size === 0 && this.#open.size === 0;
    }

    /** Take any message of a session; tells `change` when something is shown or gone. */
    receive(message) {
      const position = message.end ?? message.start;
      if (position !== undefined && message.timestamp && !this.#origins.has(lifeOf(message))) {
        const lag = message.lag_ms ?? 0;
        this.#origins.set(lifeOf(message), (Date.parse(message.timestamp) - lag) / 1000 - position);
      }
      const follows = this.#isAtBottom();
      if (message.type === "realtime_transcription") {
        this.#showPartial(message);
      } else if (message.type === "final_transcription") {
        this.#showFinal(message);
      } else {
        return;
      }
      if (follows) {
        this.#paper.scrollTop = this.#paper.scrollHeight;
      }
      this.dispatchEvent(new CustomEvent("change"));
    }

    /** Drop the grey lines, which nobody will finish; of one session, or all. */
    dropPartials(session = null) {
      for (const [key, line] of this.#open) {
        if (session === null || line.session === session) {
          line.element.remove();
          this.#open.delete(key);
        }
      }
      this.dispatchEvent(new CustomEvent("change"));
    }

    /** Forget the finals; open segments stay. */
    clear() {
      this.#entries.clear();
      this.#finals.replaceChildren();
      this.dispatchEvent(new CustomEvent("change"));
    }

    #showPartial(message) {
      const key = keyOf(message);
      if (this.#entries.has(key)) {
        return;
      }
      if (message.text === "") {
        this.#open.get(key)?.element.remove();
        this.#open.delete(key);
        return;
      }
      let line = this.#open.get(key);
      if (line === undefined) {
        line = { ...buildLine("partial"), session: message.session_id };
        line.stable = document.createElement("span");
        line.unstable = document.createElement("span");
        line.stable.className = "stable";
        line.unstable.className = "unstable";
        line.text.append(line.stable, line.unstable);
        this.#open.set(key, line);
        this.#partials.append(line.element);
      }
      setLanguage(line.text, message.language);
      const stable = message.stable ?? "";
      line.stable.textContent = message.text.startsWith(stable) ? stable : "";
      line.unstable.textContent = message.text.slice(line.stable.textContent.length);
    }

    #showFinal(message) {
      const key = keyOf(message);
      this.#open.get(key)?.element.remove();
      this.#open.delete(key);
      const known = this.#entries.get(key);
      if (message.text === "") {
        known?.line.element.remove();
        this.#entries.delete(key);
        return;
      }
      const line = known?.line ?? buildLine("final");
      setLanguage(line.text, message.language);
      line.text.textContent = message.text;
      this.#entries.set(key, { final: message, line });
      if (known === undefined) {
        const zero = Math.min(...this.#origins.values());
        line.time.textContent = clock((this.#origins.get(lifeOf(message)) ?? zero) - zero + message.start);
        this.#finals.append(line.element);
      }
    }

    #isAtBottom() {
      const { scrollHeight, scrollTop, clientHeight } = this.#paper;
      return scrollHeight - scrollTop - clientHeight < NEAR_BOTTOM;
    }
  }

  function keyOf(message) {
    return `${message.session_id}\n${message.segment_id}`;
  }

  /** What counts time from its own start: a session until the daemon is started again, told by its segments' names. */
  function lifeOf(message) {
    return `${message.session_id}\n${message.segment_id.replace(/-?[^-]*$/, "")}`;
  }

  function buildLine(kind) {
    const element = document.createElement("div");
    const time = document.createElement("span");
    const text = document.createElement("p");
    element.className = `line ${kind}`;
    time.className = "time";
    time.ariaHidden = "true";
    text.className = "text";
    text.dir = "auto";
    element.append(time, text);
    return { element, time, text };
  }

  function setLanguage(element, language) {
    if (/^[a-z]{2,8}(-[a-z0-9]{1,8})*$/i.test(language ?? "")) {
      element.lang = language;
    }
  }

  function shift(final, seconds) {
    const moved = (item) => ({ ...item, start: item.start + seconds, end: item.end + seconds });
    return { ...moved(final), words: (final.words ?? []).map(moved) };
  }

  globalThis.hotmic = Object.assign(globalThis.hotmic ?? {}, { Transcript, clock });
}
