/**
 * The variables of a workflow and the values that people type for them. Pure functions of text.
 */
import { isObject, parseJsonc, type JsonObject } from '../text/jsonc.js';

export type ValueKind = 'text' | 'number' | 'boolean' | 'json';

/** A variable as it is asked for. */
export interface Variable {
  readonly name: string;
  readonly value: unknown;
  readonly kind: ValueKind;
}

/** What was typed cannot be the variable's value; the message says why. */
export class BadValue extends Error {}

/** The variables of a workflow's text with their defaults, in its order; none for a text that cannot be read. */
export function variablesOf(text: string): readonly Variable[] {
  return Object.entries(variablesIn(text)).map(([name, declared]) => {
    const value = isObject(declared) && 'default' in declared ? declared['default'] : declared;
    return { name, value, kind: kindOf(value) };
  });
}

function variablesIn(text: string): JsonObject {
  let root: unknown;
  try {
    root = parseJsonc(text);
  } catch {
    return {};
  }
  return isObject(root) && isObject(root['variables']) ? root['variables'] : {};
}

function kindOf(value: unknown): ValueKind {
  if (typeof value === 'string') return 'text';
  if (typeof value === 'number') return 'number';
  return typeof value === 'boolean' ? 'boolean' : 'json';
}

/** A value as it stands in an input box. */
export function typed(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The value that a typed text means for a variable. Throws `BadValue`. */
export function valueOf(variable: Variable, text: string): unknown {
  if (variable.kind === 'text') return text;
  const trimmed = text.trim();
  if (variable.kind === 'number') {
    const value = Number(trimmed);
    if (trimmed === '' || !Number.isFinite(value))
      throw new BadValue(`${variable.name} is a number, such as 12 or 0.5.`);
    return value;
  }
  if (variable.kind === 'boolean') {
    if (trimmed !== 'true' && trimmed !== 'false') throw new BadValue(`${variable.name} is true or false.`);
    return trimmed === 'true';
  }
  return jsonOf(variable.name, trimmed);
}

function jsonOf(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new BadValue(`${name} is written as JSON: "text" in quotes, a number, [a list] or null.`);
  }
}

/**
 * Several values of one variable. Numbers stand between commas, or as `from..to` or `from..to..step`; texts stand
 * between bars, because prompts have commas. Throws `BadValue`.
 */
export function valuesOf(variable: Variable, text: string): readonly unknown[] {
  const range = variable.kind === 'number' ? /^\s*(\S+?)\.\.([^.\s]\S*?)(?:\.\.(\S+))?\s*$/.exec(text) : null;
  if (range !== null) return inSteps(variable, range.slice(1));
  const parts = text
    .split(variable.kind === 'text' || variable.kind === 'json' ? '|' : ',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  if (parts.length === 0) throw new BadValue(`Give at least one value for ${variable.name}.`);
  if (parts.length > MOST_VARIANTS)
    throw new BadValue(`${parts.length} values are too many: ${MOST_VARIANTS} at most.`);
  return parts.map((part) => valueOf(variable, part));
}

/** More runs than this at once are a mistake. */
const MOST_VARIANTS = 64;

function inSteps(variable: Variable, written: readonly (string | undefined)[]): number[] {
  const [from = NaN, to = NaN, step = 1] = written.map((part) => (part === undefined ? undefined : Number(part)));
  const count = Math.floor((to - from) / step + 1e-9) + 1;
  if (!Number.isFinite(count) || count < 1) throw new BadValue(`Write ${variable.name} as 1..5 or 0.2..1..0.2.`);
  if (count > MOST_VARIANTS) throw new BadValue(`${count} values are too many: ${MOST_VARIANTS} at most.`);
  return Array.from({ length: count }, (_, index) => Number((from + index * step).toFixed(10)));
}

/** The prompt of a run, for people: a variable or an argument of that name, the first that is a text. */
export function promptOf(text: string, given: JsonObject): string | undefined {
  const variables: JsonObject = {
    ...Object.fromEntries(variablesOf(text).map((one) => [one.name, one.value])),
    ...given,
  };
  const own = variables['prompt'];
  if (typeof own === 'string') return own;
  return /* the first step that has one */ promptIn(text, variables);
}

function promptIn(text: string, variables: JsonObject): string | undefined {
  let root: unknown;
  try {
    root = parseJsonc(text);
  } catch {
    return undefined;
  }
  const steps = isObject(root) && Array.isArray(root['steps']) ? (root['steps'] as unknown[]) : [];
  for (const step of steps) {
    const prompt = promptOfStep(step);
    if (prompt === undefined || prompt.startsWith('previous_result:')) continue;
    const name = prompt.startsWith('variable:') ? prompt.slice('variable:'.length) : undefined;
    const value = name === undefined ? prompt : variables[name];
    if (typeof value === 'string') return value;
  }
  return undefined;
}

function promptOfStep(step: unknown): string | undefined {
  if (!isObject(step)) return undefined;
  for (const kind of ['pipeline', 'pipeline_reference', 'workflow']) {
    const body = step[kind];
    const inside = isObject(body) ? body['arguments'] : undefined;
    const prompt = isObject(inside) ? inside['prompt'] : undefined;
    if (typeof prompt === 'string') return prompt;
  }
  return undefined;
}
