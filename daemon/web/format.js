// Numbers as people read them.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Bytes with a binary unit and three digits. */
export function size(bytes) {
  let unit = 0;
  while (bytes >= 999.5 && unit < UNITS.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  const digits = unit === 0 ? 0 : bytes < 9.995 ? 2 : bytes < 99.95 ? 1 : 0;
  return `${bytes.toFixed(digits)} ${UNITS[unit]}`;
}

/** Bytes per second; nothing at all for none. */
export function rate(bytes) {
  return bytes > 0 ? `${size(bytes)}/s` : "";
}

/** Seconds in its two largest units; nothing for null. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = parts.findIndex(([, length]) => seconds >= length);
  if (first < 0) return "0 s";
  const [name, length] = parts[first];
  const next = parts[first + 1];
  const rest = next ? Math.floor((seconds % length) / next[1]) : 0;
  return `${Math.floor(seconds / length)} ${name}${rest ? ` ${rest} ${next[0]}` : ""}`;
}

/** A part of one as a percentage that says 100 only when it is. */
export function percent(part) {
  return `${(Math.floor(part * 1000) / 10).toFixed(1)} %`;
}
