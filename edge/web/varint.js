/**
 * Variable-length integers (RFC 9000 section 16): the two high bits of the first octet say 1, 2, 4 or 8 bytes.
 *
 * The format goes to 2^62 - 1, an exact JavaScript number to 2^53 - 1. Nothing in a call counts that far: what is
 * greater cannot be written, and is read as a number near it, which no bound lets pass.
 */

const LIMITS = [
  [2 ** 6, 1, 0x00],
  [2 ** 14, 2, 0x40],
  [2 ** 30, 4, 0x80],
  [2 ** 53, 8, 0xc0],
];

/** `values` one after the other, each in its shortest form. Throws RangeError for what is no such integer. */
export function encodeVarints(...values) {
  return Uint8Array.from(values.flatMap(encodeOne));
}

/** `[value, offset behind it]` at `offset`; null while its last byte is still missing. */
export function decodeVarint(data, offset = 0) {
  if (offset >= data.length) return null;
  const end = offset + (1 << (data[offset] >> 6));
  if (end > data.length) return null;
  let value = data[offset] & 0x3f;
  for (let at = offset + 1; at < end; at++) value = value * 256 + data[at];
  return [value, end];
}

/** The bytes of all `parts` in one array. */
export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

function encodeOne(value) {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} does not fit a variable-length integer`);
  const [, length, prefix] = LIMITS.find(([limit]) => value < limit);
  const bytes = new Array(length);
  for (let at = length - 1, rest = value; at >= 0; at--) {
    bytes[at] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  bytes[0] |= prefix;
  return bytes;
}
