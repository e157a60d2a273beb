/**
 * Which Python runs the language server: the first candidate that works, as a value with its reason.
 * Knows neither the editor nor how the server is started; what the disk and the editor say comes in as arguments.
 */

export const OLDEST_PYTHON: readonly [number, number] = [3, 10];

/** An interpreter that might be used. */
export interface Candidate {
  /** Path, or a name to be found on PATH. */
  readonly path: string;
  /** Who proposes it, for the log and messages: `setting dw.server.python`. */
  readonly source: string;
  /** The user has asked for this one and no other: if it does not work, that is an error. */
  readonly demanded?: boolean;
}

/** What an interpreter said about itself. */
export interface Interpreter {
  readonly executable: string;
  readonly version: readonly [number, number, number];
}

/** Asks an interpreter; throws an error with a reason for people when it cannot be used. */
export type Probe = (path: string) => Promise<Interpreter>;

export interface Resolved {
  readonly interpreter: Interpreter;
  readonly source: string;
  /** What was tried and why it was not taken, in order. */
  readonly rejected: readonly string[];
}

export class NoInterpreter extends Error {
  public constructor(
    message: string,
    public readonly rejected: readonly string[],
  ) {
    super(message);
  }
}

/** The first candidate that runs and is new enough. Throws `NoInterpreter` that says what was tried. */
export async function resolveInterpreter(candidates: readonly Candidate[], probe: Probe): Promise<Resolved> {
  const rejected: string[] = [];
  for (const candidate of candidates) {
    const answer = await attempt(candidate, probe);
    if (typeof answer !== 'string') return { interpreter: answer, source: candidate.source, rejected };
    const reason = `${candidate.path} (${candidate.source}): ${answer}`;
    rejected.push(reason);
    if (candidate.demanded === true) throw new NoInterpreter(`The interpreter cannot be used. ${reason}.`, rejected);
  }
  const oldest = OLDEST_PYTHON.join('.');
  const tried = rejected.length > 0 ? ` Tried: ${rejected.join('; ')}.` : '';
  throw new NoInterpreter(`No Python ${oldest} or newer was found for the language server.${tried}`, rejected);
}

async function attempt(candidate: Candidate, probe: Probe): Promise<Interpreter | string> {
  let interpreter: Interpreter;
  try {
    interpreter = await probe(candidate.path);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const [major, minor] = interpreter.version;
  const [oldestMajor, oldestMinor] = OLDEST_PYTHON;
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return interpreter;
  return `is Python ${interpreter.version.join('.')}, but ${OLDEST_PYTHON.join('.')} or newer is needed`;
}

/** What the places that may name an interpreter say; absent ones are left out. */
export interface Proposals {
  readonly serverSetting?: string;
  readonly workerSetting?: string;
  readonly editor?: string;
  readonly workspaceFolders: readonly string[];
  /** Environments inside an untrusted workspace are programs of strangers and are not run. */
  readonly trusted: boolean;
  readonly windows: boolean;
}

/** All candidates, best first: settings, the editor's choice, `.venv` of each folder, PATH. */
export function candidatesOf(proposals: Proposals): Candidate[] {
  const candidates: Candidate[] = [];
  if (proposals.serverSetting !== undefined) {
    candidates.push({ path: proposals.serverSetting, source: 'setting dw.server.python', demanded: true });
  }
  if (proposals.workerSetting !== undefined) {
    candidates.push({ path: proposals.workerSetting, source: 'setting dw.worker.python' });
  }
  if (proposals.editor !== undefined) candidates.push({ path: proposals.editor, source: 'chosen in the editor' });
  candidates.push(...environmentsOf(proposals));
  for (const name of proposals.windows ? ['python', 'py'] : ['python3', 'python']) {
    candidates.push({ path: name, source: 'PATH' });
  }
  return proposals.trusted ? candidates : candidates.filter(({ path }) => !isInside(path, proposals));
}

/** The same for the worker, which needs libraries: what is set, the editor's choice, `.venv`, PATH, the server's own. */
export function workerCandidatesOf(proposals: Proposals, server: string): Candidate[] {
  if (proposals.workerSetting !== undefined) {
    return [{ path: proposals.workerSetting, source: 'setting dw.worker.python', demanded: true }];
  }
  const candidates: Candidate[] = [];
  if (proposals.editor !== undefined) candidates.push({ path: proposals.editor, source: 'chosen in the editor' });
  candidates.push(...environmentsOf(proposals), { path: server, source: "the language server's own" });
  return proposals.trusted ? candidates : candidates.filter(({ path }) => !isInside(path, proposals));
}

/** The virtual environments that the folders of the workspace may have. */
function environmentsOf({ workspaceFolders, windows }: Proposals): Candidate[] {
  return workspaceFolders.flatMap((folder) =>
    ['.venv', 'venv'].map((name) => ({
      path: windows ? `${folder}\\${name}\\Scripts\\python.exe` : `${folder}/${name}/bin/python`,
      source: `${name} of the workspace`,
    })),
  );
}

function isInside(path: string, { workspaceFolders }: Proposals): boolean {
  return workspaceFolders.some((folder) => path.startsWith(`${folder}/`) || path.startsWith(`${folder}\\`));
}
