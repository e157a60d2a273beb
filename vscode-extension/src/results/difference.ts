/**
 * In what two runs differ: their workflows with the values that were given, place by place. Pure functions.
 */
import { isObject, parseJsonc, type JsonObject } from '../text/jsonc.js';

/** One place where two workflows are not the same; `undefined` means that one has nothing there. */
export interface Difference {
  /** `steps › draw › pipeline › arguments › num_inference_steps` */
  readonly place: string;
  readonly left: string | undefined;
  readonly right: string | undefined;
}

/** What of a run decides its result. */
export interface Compared {
  readonly text: string;
  readonly arguments: JsonObject;
  readonly seed: number | null;
  readonly step?: string;
}

/** Every difference, in the order of the left one, then what only the right one has. */
export function differences(left: Compared, right: Compared): readonly Difference[] {
  const [before, after] = [placesOf(left), placesOf(right)];
  const places = [...new Set([...before.keys(), ...after.keys()])];
  return places
    .filter((place) => before.get(place) !== after.get(place))
    .map((place) => ({ place, left: before.get(place), right: after.get(place) }));
}

function placesOf(run: Compared): ReadonlyMap<string, string> {
  const places = new Map<string, string>();
  if (run.seed !== null) places.set('seed of the run', String(run.seed));
  if (run.step !== undefined) places.set('run to step', run.step);
  let root: unknown;
  try {
    root = parseJsonc(run.text);
  } catch {
    places.set('text', run.text);
    return places;
  }
  const variables = isObject(root) && isObject(root['variables']) ? root['variables'] : {};
  if (isObject(root)) root = { ...root, variables: { ...variables, ...run.arguments } };
  collect(root, [], places);
  return places;
}

function collect(value: unknown, path: readonly string[], into: Map<string, string>): void {
  if (Array.isArray(value) && value.some(isObject)) {
    value.forEach((item: unknown, index) => {
      collect(item, [...path, nameOf(item) ?? String(index + 1)], into);
    });
  } else if (isObject(value) && Object.keys(value).length > 0) {
    for (const [key, part] of Object.entries(value)) collect(part, [...path, key], into);
  } else {
    into.set(path.join(' › '), typeof value === 'string' ? value : JSON.stringify(value));
  }
}

/** Steps are known by their names: one that is put before another changes only its own place. */
function nameOf(item: unknown): string | undefined {
  const name = isObject(item) ? item['name'] : undefined;
  return typeof name === 'string' ? name : undefined;
}
