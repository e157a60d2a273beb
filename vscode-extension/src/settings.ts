/**
 * What the server is told of the settings: the user's `dw` section with paths written out, without what only the
 * extension needs, and made safe where the workspace is not trusted. Pure functions; the editor is not known here.
 */

/** What `~`, `${workspaceFolder}` and `${env:NAME}` stand for. */
export interface Surroundings {
  readonly home: string;
  readonly workspaceFolder: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** What was found for the worker. */
export interface FoundPython {
  readonly executable: string;
  readonly missing: readonly string[];
}

type Section = Record<string, unknown>;

/** Parts of the section `dw` that the server does not know. */
const OWN_PARTS = new Set(['server', 'trace', 'results', 'codeLens']);

/** Settings whose strings are paths or commands. */
const PATH_SETTINGS = ['worker.python', 'worker.command', 'outputDirectory', 'security.allowedPaths'];

/** Settings where an empty value means "not set". */
const EMPTY_IS_UNSET = ['worker.python', 'worker.command'];

/** `text` with variables and a leading `~` replaced; what cannot be replaced stays as it is. */
export function expand(text: string, surroundings: Surroundings): string {
  const replaced = text.replace(/\$\{([^}]+)\}/g, (whole, name: string) => {
    if (name === 'workspaceFolder') return surroundings.workspaceFolder ?? whole;
    if (name === 'userHome') return surroundings.home;
    if (name.startsWith('env:')) return surroundings.environment[name.slice('env:'.length)] ?? '';
    return whole;
  });
  return /^~(?=$|[/\\])/.test(replaced) ? surroundings.home + replaced.slice(1) : replaced;
}

/**
 * The section `dw` as the server shall see it.
 *
 * @param section what the editor has, nested: `{worker: {python: ...}}`
 * @param trusted whether the workspace is trusted; if not, no worker is started before a run asks for it
 * @param python what was found for the worker, where no setting names one; one that lacks libraries starts with a run
 */
export function forServer(
  section: unknown,
  surroundings: Surroundings,
  trusted: boolean,
  python?: FoundPython,
): Section {
  const copy = isSection(section) ? structuredClone(section) : {};
  for (const part of OWN_PARTS) Reflect.deleteProperty(copy, part);
  for (const name of PATH_SETTINGS) change(copy, name, (value) => expandAll(value, surroundings));
  for (const name of EMPTY_IS_UNSET) change(copy, name, (value) => (isEmpty(value) ? null : value));
  const worker = sectionIn(copy, 'worker');
  const unset = ['python', 'command'].every((name) => isEmptyOrAbsent(worker[name]));
  if (python !== undefined && unset) copy['worker'] = { ...worker, python: python.executable };
  if (!trusted || isIncomplete(python)) copy['worker'] = { ...sectionIn(copy, 'worker'), prewarm: 'onRun' };
  if (!trusted) copy['run'] = { ...sectionIn(copy, 'run'), onSave: false };
  return copy;
}

function isSection(value: unknown): value is Section {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isEmpty(value: unknown): boolean {
  return value === '' || (Array.isArray(value) && value.length === 0);
}

function isIncomplete(python: FoundPython | undefined): boolean {
  return python !== undefined && python.missing.length > 0;
}

function sectionIn(section: Section, name: string): Section {
  const part = section[name];
  return isSection(part) ? part : {};
}

function isEmptyOrAbsent(value: unknown): boolean {
  return value === undefined || value === null || isEmpty(value);
}

function expandAll(value: unknown, surroundings: Surroundings): unknown {
  if (typeof value === 'string') return expand(value, surroundings);
  return Array.isArray(value) ? value.map((part) => expandAll(part, surroundings)) : value;
}

function change(section: Section, name: string, by: (value: unknown) => unknown): void {
  const [first = '', ...rest] = name.split('.');
  if (!(first in section)) return;
  if (rest.length === 0) {
    section[first] = by(section[first]);
    return;
  }
  const part = section[first];
  if (isSection(part)) change(part, rest.join('.'), by);
}
