// Where the daemon is.
"use strict";
{
  const DEFAULTS = { control: "ws://127.0.0.1:8765", audio: "ws://127.0.0.1:8766" };

  /**
   * Return where a page that was served by the daemon finds its sockets.
   *
   * Reached directly (the port in the address bar is the daemon's own), the sockets are on their own ports of the same
   * host; behind a reverse proxy they are paths of the page's origin.
   */
  function servedAddresses(config, location) {
    if (location.protocol === "http:" && location.port === String(config.http_port)) {
      return {
        control: `ws://${location.hostname}:${config.control_port}`,
        audio: `ws://${location.hostname}:${config.audio_port}`,
      };
    }
    const origin = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}`;
    return { control: origin + config.control_path, audio: origin + config.audio_path };
  }

  /** Return where the sockets are; throws an Error with a sentence for people. */
  async function findAddresses(location) {
    const wished = new URLSearchParams(location.search);
    if (location.protocol === "file:") {
      return { control: wished.get("control") || DEFAULTS.control, audio: wished.get("audio") || DEFAULTS.audio };
    }
    // Addresses in the URL count from disk alone: a link to somebody's own daemon must not send what they say elsewhere.
    const answer = await fetch("/config.json", { cache: "no-store" });
    if (!answer.ok) {
      throw new Error(`The daemon did not say where its sockets are (HTTP ${answer.status}).`);
    }
    return servedAddresses(await answer.json(), location);
  }

  /** Return an address with query parameters added; throws an Error with a sentence if it is no WebSocket address. */
  function withQuery(address, parameters) {
    let url;
    try {
      url = new URL(address);
    } catch {
      url = null;
    }
    if (url === null || !["ws:", "wss:"].includes(url.protocol)) {
      throw new Error(`“${address}” is no WebSocket address; it should look like ${DEFAULTS.control}.`);
    }
    for (const [name, value] of Object.entries(parameters)) {
      if (value !== "") {
        url.searchParams.set(name, value);
      }
    }
    return url.href;
  }

  globalThis.hotmic = Object.assign(globalThis.hotmic ?? {}, { findAddresses, servedAddresses, withQuery });
}
