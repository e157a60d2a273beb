/**
 * The texts inside a PNG: a picture of ours carries the workflow that made it. Knows no workflow and no editor.
 */
import { inflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** A text that grows to more than this when it is unpacked is none that we have written. Bytes. */
const LARGEST_TEXT = 4 * 1024 * 1024;

export class NoPng extends Error {}

/** Every text of a picture by its keyword. Throws `NoPng`. */
export function textsOf(data: Buffer): ReadonlyMap<string, string> {
  if (!data.subarray(0, SIGNATURE.length).equals(SIGNATURE)) throw new NoPng('It is not a PNG picture.');
  const texts = new Map<string, string>();
  for (let at = SIGNATURE.length; at + 12 <= data.length;) {
    const length = data.readUInt32BE(at);
    const type = data.toString('latin1', at + 4, at + 8);
    const content = data.subarray(at + 8, at + 8 + length);
    if (content.length < length) throw new NoPng('The picture is cut off.');
    const text = type === 'iTXt' ? international(content) : type === 'tEXt' ? plain(content) : undefined;
    if (text !== undefined) texts.set(text[0], text[1]);
    if (type === 'IEND') break;
    at += length + 12;
  }
  return texts;
}

function plain(content: Buffer): [string, string] | undefined {
  const end = content.indexOf(0);
  return end < 0 ? undefined : [content.toString('latin1', 0, end), content.toString('latin1', end + 1)];
}

/** Keyword, 0, whether packed, how, language, 0, keyword in that language, 0, text. */
function international(content: Buffer): [string, string] | undefined {
  const keyword = content.indexOf(0);
  const language = keyword < 0 ? -1 : content.indexOf(0, keyword + 3);
  const translated = language < 0 ? -1 : content.indexOf(0, language + 1);
  if (translated < 0) return undefined;
  const rest = content.subarray(translated + 1);
  const packed = content[keyword + 1] === 1;
  const text = packed ? inflateSync(rest, { maxOutputLength: LARGEST_TEXT }) : rest;
  return [content.toString('latin1', 0, keyword), text.toString('utf8')];
}
