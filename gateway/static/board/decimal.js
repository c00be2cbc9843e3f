// Quantities as the server sends them: decimal text. Compared and added as integers, never as floats.

const PLACES = 6;
const UNIT = 10n ** BigInt(PLACES);

/** "31.5000" as an integer of millionths. */
export function scaled(text) {
  const [whole, fraction = ""] = text.split(".");
  return BigInt(whole + fraction.padEnd(PLACES, "0").slice(0, PLACES));
}

/** The integer of `scaled` as text for people: 1,204.5 */
export function shown(value) {
  const size = value < 0n ? -value : value;
  const whole = (size / UNIT).toString().replace(/\B(?=(\d{3})+$)/g, ",");
  const fraction = (size % UNIT).toString().padStart(PLACES, "0").replace(/0+$/, "");
  return `${value < 0n ? "−" : ""}${whole}${fraction && `.${fraction}`}`;
}

/** The same with its sign, for what was added or taken. */
export function signed(value) {
  return value > 0n ? `+${shown(value)}` : shown(value);
}

/** A float, for a place on a chart and for nothing else. */
export function drawn(value) {
  return Number(value) / Number(UNIT);
}

/** What somebody typed, or null where it is no decimal number. */
export function typed(text) {
  const plain = text.trim().replace(",", ".");
  return /^-?\d{1,12}(\.\d{1,6})?$/.test(plain) ? scaled(plain) : null;
}
