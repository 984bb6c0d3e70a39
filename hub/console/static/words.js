// The page's words and names, in the language it was made in.
const read = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "{}");
const words = read("words");
const names = read("names");

export const say = (key, values = {}) =>
  (words[key] ?? key.split(".").slice(1).join(".")).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

export const nameOf = (code) => names[code] ?? code;

export function span(ms) {
  const s = Math.round(ms / 1000);
  if (s < 60) return ["s", s];
  if (s < 3600) return ["m", Math.round(s / 60)];
  if (s < 172800) return ["h", Math.round(s / 3600)];
  return ["d", Math.round(s / 86400)];
}
