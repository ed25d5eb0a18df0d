// The transcript as files.
"use strict";
{
  const LONGEST_CUE = 6;
  const WIDEST_CUE = 84;

  /** Return seconds as hh:mm:ss and milliseconds after `mark`. */
  function stamp(seconds, mark) {
    const ms = Math.max(0, Math.round(seconds * 1000));
    const two = (number) => String(Math.floor(number)).padStart(2, "0");
    const time = `${two(ms / 3_600_000)}:${two((ms / 60_000) % 60)}:${two((ms / 1000) % 60)}`;
    return `${time}${mark}${String(ms % 1000).padStart(3, "0")}`;
  }

  function oneLine(text) {
    return text.replace(/\s+/g, " ").trim();
  }

  /**
   * Cut a segment into cues of readable length where its words allow.
   *
   * The words are found again in the text, so that text written without spaces keeps its shape. A segment whose words
   * are not all in its text stays one cue.
   */
  function cuesOf(segment) {
    const starts = [];
    let cursor = 0;
    for (const { word } of segment.words) {
      const at = segment.text.indexOf(word, cursor);
      if (at < 0) {
        return [{ start: segment.start, end: segment.end, text: oneLine(segment.text) }];
      }
      starts.push(at);
      cursor = at + word.length;
    }
    const cues = [];
    let first = 0;
    for (let i = 1; i <= starts.length; i += 1) {
      const isLast = i === starts.length;
      const isFull =
        !isLast &&
        (segment.words[i].end - segment.words[first].start > LONGEST_CUE ||
          starts[i] + segment.words[i].word.length - starts[first] > WIDEST_CUE);
      if (isLast || isFull) {
        const begin = first === 0 ? 0 : starts[first];
        const text = segment.text.slice(begin, isLast ? undefined : starts[i]);
        cues.push({ start: segment.words[first].start, end: segment.words[i - 1].end, text: oneLine(text) });
        first = i;
      }
    }
    return cues.length > 0 ? cues : [{ start: segment.start, end: segment.end, text: oneLine(segment.text) }];
  }

  function toText(segments) {
    return segments.map((segment) => `${segment.text}\n`).join("");
  }

  function toSrt(segments) {
    return segments
      .flatMap(cuesOf)
      .map(({ start, end, text }, i) => {
        const safe = text.replaceAll("-->", "→");
        return `${i + 1}\n${stamp(start, ",")} --> ${stamp(end, ",")}\n${safe}\n\n`;
      })
      .join("");
  }

  function toVtt(segments) {
    const cues = segments.flatMap(cuesOf).map(({ start, end, text }) => {
      const safe = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
      return `${stamp(start, ".")} --> ${stamp(end, ".")}\n${safe}\n\n`;
    });
    return `WEBVTT\n\n${cues.join("")}`;
  }

  function toJson(segments) {
    const kept = ["text", "start", "end", "language", "model", "session_id", "segment_id", "timestamp", "words"];
    const rows = segments.map((segment) => Object.fromEntries(kept.map((name) => [name, segment[name]])));
    return `${JSON.stringify({ segments: rows }, null, 2)}\n`;
  }

  const FORMATS = {
    txt: { write: toText, type: "text/plain" },
    srt: { write: toSrt, type: "application/x-subrip" },
    vtt: { write: toVtt, type: "text/vtt" },
    json: { write: toJson, type: "application/json" },
  };

  /** Let the browser save segments as a file. */
  function save(segments, format, now = new Date()) {
    const { write, type } = FORMATS[format];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([write(segments)], { type: `${type};charset=utf-8` }));
    link.download = `transcript-${now.toISOString().slice(0, 19).replaceAll(":", "-")}.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  globalThis.hotmic = Object.assign(globalThis.hotmic ?? {}, { FORMATS, cuesOf, save });
}
