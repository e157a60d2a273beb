/**
 * JSON with comments, as text: read it, take a member out as it is written, lay it out. Numbers keep their spelling
 * where text goes in and text comes out: `3.0` is no `3` to a workflow, and a seed may be larger than a double holds.
 */

/** Comments, and commas before a closing bracket, outside of strings. */
const SKIPPED =
  /"(?:[^"\\]|\\.)*"|\/\/[^\r\n]*|\/\*[\s\S]*?(?:\*\/|$)|,(?=(?:\s|\/\/[^\r\n]*|\/\*(?:[^*]|\*(?!\/))*\*\/)*[}\]])/g;
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g;
const LONGEST_LINE = 100;

/** The text without comments and trailing commas; every other character stays where it is. */
export function withoutComments(text: string): string {
  return text.replace(/^\uFEFF/, ' ').replace(SKIPPED, (found) => {
    return found.startsWith('"') ? found : found.replace(/[^\r\n]/g, ' ');
  });
}

/** The value of a JSON text with comments. Throws `SyntaxError`. */
export function parseJsonc(text: string): unknown {
  return JSON.parse(withoutComments(text));
}

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** By how much a token changes the depth. */
const DEPTH: Readonly<Record<string, number>> = { '{': 1, '[': 1, '}': -1, ']': -1 };

/** The text of one member of the outermost object; `undefined` when it has none of that name. */
export function memberText(json: string, name: string): string | undefined {
  const wanted = JSON.stringify(name);
  let depth = 0;
  let start: number | undefined;
  let previous = '';
  for (const { 0: token, index } of json.matchAll(TOKEN)) {
    const ends = depth === 1 && (token === ',' || token === '}');
    if (start !== undefined && ends) return json.slice(start, index).trim();
    depth += DEPTH[token] ?? 0;
    if (depth === 1 && token === ':' && previous === wanted) start = index + 1;
    previous = token;
  }
  return undefined;
}

/** JSON laid out in lines, two spaces for each level; what fits into a line and holds no objects stays in one. */
export function laidOut(json: string): string {
  return new Layout([...json.matchAll(TOKEN)].map((found) => found[0])).text();
}

class Layout {
  private readonly lines: string[] = [];
  private line = '';
  private depth = 0;

  public constructor(private readonly tokens: readonly string[]) {}

  public text(): string {
    for (let at = 0; at < this.tokens.length; at += 1) {
      const token = this.tokens[at] ?? '';
      const whole = DEPTH[token] === 1 ? this.inOneLine(at) : undefined;
      if (whole === undefined) {
        this.put(token);
      } else {
        this.line += whole.text;
        at = whole.last;
      }
    }
    return `${[...this.lines, this.line].join('\n')}\n`;
  }

  private put(token: string): void {
    const change = DEPTH[token] ?? 0;
    this.depth += change;
    if (change < 0) this.newLine();
    this.line += token === ':' ? ': ' : token;
    if (change > 0 || token === ',') this.newLine();
  }

  private newLine(): void {
    this.lines.push(this.line);
    this.line = '  '.repeat(this.depth);
  }

  /** A list or object without further objects in it, and where it ends, if it fits into the line. */
  private inOneLine(first: number): { text: string; last: number } | undefined {
    let depth = 0;
    let text = '';
    for (let at = first; at < this.tokens.length; at += 1) {
      const token = this.tokens[at] ?? '';
      if (token === '{' && at > first) return undefined;
      depth += DEPTH[token] ?? 0;
      text += spaced(token, this.tokens[at - 1], this.tokens[at + 1]);
      if (depth === 0) return { text, last: at };
      if (this.line.length + text.length > LONGEST_LINE) return undefined;
    }
    return undefined;
  }
}

/** A token within a line: `{ "a": 1 }`, `[1, 2]`. */
function spaced(token: string, before: string | undefined, after: string | undefined): string {
  if (token === ',' || token === ':' || (token === '{' && after !== '}')) return `${token} `;
  return token === '}' && before !== '{' ? ` ${token}` : token;
}
