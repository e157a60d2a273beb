/**
 * What is kept of runs: the one that is going on, with its preview, and those that ended, newest first. Fed with the
 * server's notifications; knows neither the editor nor how it is shown.
 */
import type {
  Preview,
  RunFinished,
  RunOutcome,
  RunProgress,
  RunStarted,
  StepOutcome,
  StepResult,
} from '../protocol.js';
import { promptOf } from './arguments.js';

/** A text larger than this is not kept; such a run can be seen but not run again from here. Characters. */
const LARGEST_TEXT = 256 * 1024;

/** What was asked for: the text as it was, and what was given with it. */
export interface Submission {
  readonly uri: string;
  readonly text: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly step?: string;
}

export interface ResultFile {
  readonly path: string;
  readonly step: string;
  readonly contentType: string;
  readonly width?: number;
  readonly height?: number;
  readonly seed?: number;
}

/** A run that has ended. Plain JSON: it is kept from one session to the next. */
export interface RunRecord {
  readonly id: string;
  readonly uri: string;
  readonly workflow: string;
  readonly outcome: RunOutcome;
  readonly seconds: number;
  readonly seed: number | null;
  /** Milliseconds since 1970. */
  readonly ended: number;
  readonly prompt?: string;
  readonly text?: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly step?: string;
  readonly peakBytes: number | null;
  readonly steps: readonly { readonly name: string; readonly outcome: StepOutcome; readonly seconds: number }[];
  readonly files: readonly ResultFile[];
  readonly error?: string;
}

/** The run that is going on. */
export interface CurrentRun {
  readonly started: RunStarted;
  /** Milliseconds since 1970. */
  readonly began: number;
  readonly prompt?: string;
  readonly progress?: RunProgress;
  readonly preview?: Preview;
}

export class History {
  private readonly submissions = new Map<string, Submission>();
  private ended: readonly RunRecord[];
  private running: CurrentRun | undefined;

  public constructor(
    kept: readonly RunRecord[],
    private readonly most: () => number,
  ) {
    this.ended = kept;
  }

  /** Runs that have ended, newest first. */
  public get records(): readonly RunRecord[] {
    return this.ended;
  }

  public get current(): CurrentRun | undefined {
    return this.running;
  }

  public find(id: string): RunRecord | undefined {
    return this.ended.find((record) => record.id === id);
  }

  /** The newest run that has made a picture, of one document or of any. */
  public lastWithPicture(uri?: string): RunRecord | undefined {
    return this.ended.find((record) => (uri === undefined || record.uri === uri) && picturesOf(record).length > 0);
  }

  /** A run was asked for. What is known by then is better than what `started` finds, so it may come later, too. */
  public submitted(runId: string, submission: Submission): void {
    this.submissions.set(runId, submission);
  }

  /** @param text the document as it is now, for runs that nobody here has asked for */
  public started(started: RunStarted, text: string | undefined): void {
    if (!this.submissions.has(started.runId) && text !== undefined) {
      this.submissions.set(started.runId, { uri: started.uri, text, arguments: started.arguments });
    }
    const prompt = this.promptFor(started.runId);
    this.running = { started, began: Date.now(), ...(prompt !== undefined && { prompt }) };
  }

  public progress(progress: RunProgress): void {
    if (this.running?.started.runId === progress.runId) this.running = { ...this.running, progress };
  }

  public preview(preview: Preview): void {
    if (this.running?.started.runId === preview.runId) this.running = { ...this.running, preview };
  }

  /** The run's record; `undefined` for one that was cancelled before it began, of which there is nothing to keep. */
  public finished(finished: RunFinished): RunRecord | undefined {
    const submission = this.submissions.get(finished.runId);
    const current = this.running?.started.runId === finished.runId ? this.running : undefined;
    if (current !== undefined) this.running = undefined;
    this.submissions.delete(finished.runId);
    if (finished.outcome === 'cancelled' && current === undefined) return undefined;
    const record = recordOf(finished, submission, current);
    this.ended = [record, ...this.ended.filter((one) => one.id !== record.id)].slice(0, Math.max(1, this.most()));
    return record;
  }

  /** The server is gone, and with it the run. */
  public abandoned(): void {
    this.running = undefined;
    this.submissions.clear();
  }

  public forget(id: string): void {
    this.ended = this.ended.filter((record) => record.id !== id);
  }

  public clear(): void {
    this.ended = [];
  }

  private promptFor(runId: string): string | undefined {
    const submission = this.submissions.get(runId);
    return submission && promptOf(submission.text, submission.arguments);
  }
}

export function picturesOf(record: RunRecord): readonly ResultFile[] {
  return record.files.filter((file) => file.contentType.startsWith('image/'));
}

/** The picture to show for a run: the first one of the last step that has made pictures. */
export function mainPicture(record: RunRecord): ResultFile | undefined {
  const pictures = picturesOf(record);
  return pictures.find((picture) => picture.step === pictures.at(-1)?.step);
}

/** What `workspaceState` gave back: only what has the form of a record. */
export function keptRecords(stored: unknown): readonly RunRecord[] {
  if (!Array.isArray(stored)) return [];
  return stored.filter((one: unknown): one is RunRecord => {
    const record = one as Partial<RunRecord> | null;
    return typeof record?.id === 'string' && Array.isArray(record.files) && Array.isArray(record.steps);
  });
}

function recordOf(
  finished: RunFinished,
  submission: Submission | undefined,
  current: CurrentRun | undefined,
): RunRecord {
  return {
    id: finished.runId,
    uri: finished.uri,
    workflow: current?.started.workflow ?? 'workflow',
    outcome: finished.outcome,
    seconds: finished.seconds,
    seed: finished.seed,
    ended: Date.now(),
    arguments: current?.started.arguments ?? {},
    ...(submission && repeatable(submission)),
    peakBytes: greatest(finished.steps.map((step) => step.peakBytes)),
    steps: finished.steps.map(({ name, outcome, seconds }) => ({ name, outcome, seconds })),
    files: finished.results.flatMap(fileOf),
    ...(finished.error !== undefined && { error: finished.error.message }),
  };
}

/** What of a submission is kept, so that it can be seen and run again. */
function repeatable(submission: Submission): Pick<RunRecord, 'arguments' | 'prompt' | 'text' | 'step'> {
  const { text, step } = submission;
  const prompt = promptOf(text, submission.arguments);
  return {
    arguments: submission.arguments,
    ...(prompt !== undefined && { prompt }),
    ...(text.length <= LARGEST_TEXT && { text }),
    ...(step !== undefined && { step }),
  };
}

function greatest(values: readonly (number | null)[]): number | null {
  const known = values.filter((value): value is number => value !== null);
  return known.length > 0 ? Math.max(...known) : null;
}

function fileOf(result: StepResult): ResultFile[] {
  const { path, step, contentType, width, height, seed } = result;
  if (path === null) return [];
  return [
    {
      path,
      step,
      contentType,
      ...(width !== undefined && { width }),
      ...(height !== undefined && { height }),
      ...(seed !== undefined && { seed }),
    },
  ];
}
