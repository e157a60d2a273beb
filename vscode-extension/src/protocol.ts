/**
 * The notifications and results of the server, as types.
 *
 * This file mirrors `dw_lsp/supervisor/events.py` (and the shared facts of `dw_lsp/protocol.py`) by hand: what is
 * changed there is changed here. `tests/extension/test_package.py` compares the two. It must not know the editor.
 *
 * Sizes are bytes, times are seconds. A field marked `?` is left out when it has no value; `null` says "unknown".
 */

export type RunOutcome = 'succeeded' | 'failed' | 'cancelled' | 'timedOut' | 'crashed';
export type StepOutcome = 'ran' | 'reused' | 'failed' | 'notRun';
export type Phase = 'loading' | 'downloading' | 'encoding' | 'denoising' | 'decoding' | 'task' | 'saving';
export type State = 'stopped' | 'starting' | 'idle' | 'busy' | 'unresponsive' | 'crashed';
export type LogLevel = 'debug' | 'info' | 'warning' | 'error';

export interface Position {
  readonly line: number;
  readonly character: number;
}

export interface Range {
  readonly start: Position;
  readonly end: Position;
}

export interface Component {
  readonly key: string;
  readonly name: string;
  readonly class: string;
  readonly bytes: number;
  readonly device: string;
  readonly seconds: number;
}

export interface MemoryReport {
  readonly device: string;
  readonly deviceName: string;
  readonly allocatedBytes: number | null;
  readonly reservedBytes: number | null;
  readonly freeBytes: number | null;
  readonly totalBytes: number | null;
  readonly peakBytes: number | null;
  readonly processBytes: number | null;
  readonly hostFreeBytes: number | null;
  readonly runCount: number;
  readonly components: readonly Component[];
  readonly growthBytes: number | null;
  readonly warnings: readonly string[];
  /** What the process filled before its first run. */
  readonly baselineBytes?: number;
}

export interface StepResult {
  readonly step: string;
  readonly index: number;
  /** `null` when the result was not saved. */
  readonly path: string | null;
  readonly contentType: string;
  readonly bytes: number;
  readonly seed?: number;
  readonly width?: number;
  readonly height?: number;
}

export interface StepSummary {
  readonly name: string;
  readonly outcome: StepOutcome;
  readonly seconds: number;
  readonly loadSeconds: number;
  readonly peakBytes: number | null;
  /** What was done otherwise than the text has it, and why. */
  readonly notes: readonly string[];
}

export interface RunError {
  readonly message: string;
  readonly type: string;
  readonly step?: string;
  /** The place in the document; the server makes it of the offsets that the supervisor knows. */
  readonly range?: Range;
  readonly traceback?: string;
  readonly hint?: string;
}

/** What a run is expected to need on the device at once, in bytes. */
export interface RunEstimate {
  readonly deviceBytes: number;
  readonly weightBytes: number;
  readonly activationBytes: number;
  readonly measured: boolean;
}

/** `dw/runStarted` */
export interface RunStarted {
  readonly runId: string;
  readonly uri: string;
  readonly workflow: string;
  readonly steps: readonly string[];
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly position: number;
  readonly estimate?: RunEstimate;
  readonly seed?: number;
}

/** `dw/runProgress` */
export interface RunProgress {
  readonly runId: string;
  readonly step: string;
  readonly stepIndex: number;
  readonly stepCount: number;
  readonly iteration: number;
  readonly iterationCount: number;
  readonly phase: Phase;
  readonly current?: number;
  readonly total?: number;
  readonly unit?: string;
  readonly secondsPerUnit?: number;
  readonly eta?: number;
  readonly message?: string;
}

/** `dw/preview`; `data` is base64. */
export interface Preview {
  readonly runId: string;
  readonly step: string;
  readonly iteration: number;
  readonly current: number;
  readonly total: number;
  readonly contentType: string;
  readonly data: string;
  readonly width: number;
  readonly height: number;
}

/** `dw/stepFinished` */
export interface StepFinished {
  readonly runId: string;
  readonly step: string;
  readonly stepIndex: number;
  readonly outcome: StepOutcome;
  readonly seconds: number;
  readonly results: readonly StepResult[];
}

/** `dw/runFinished`: exactly one for each accepted run. */
export interface RunFinished {
  readonly runId: string;
  readonly uri: string;
  readonly outcome: RunOutcome;
  readonly seconds: number;
  readonly runCount: number;
  readonly seed: number | null;
  readonly steps: readonly StepSummary[];
  readonly results: readonly StepResult[];
  readonly loaded: readonly Component[];
  readonly reused: readonly Component[];
  readonly memory: MemoryReport | null;
  readonly error?: RunError;
}

export interface WorkerExit {
  readonly code: number | null;
  readonly signal: string | null;
  readonly reason: string;
  readonly stderrTail: readonly string[];
}

/** `dw/workerState`, and the result of `dw.status`, `dw.restart` and `dw.shutdown` */
export interface WorkerState {
  readonly state: State;
  readonly pid?: number;
  readonly python?: string;
  readonly versions?: Readonly<Record<string, string>>;
  readonly device?: string;
  readonly runId?: string;
  readonly exit?: WorkerExit;
}

/** `dw/log` */
export interface Log {
  readonly level: LogLevel;
  readonly message: string;
  readonly runId?: string;
}

/** Every notification by its method. */
export interface Notifications {
  'dw/runStarted': RunStarted;
  'dw/runProgress': RunProgress;
  'dw/preview': Preview;
  'dw/stepFinished': StepFinished;
  'dw/runFinished': RunFinished;
  'dw/memory': MemoryReport;
  'dw/workerState': WorkerState;
  'dw/log': Log;
}

/** The argument of `dw.run`. */
export interface RunArgument {
  readonly uri: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
  readonly step?: string;
  readonly seed?: number;
  readonly outputDir?: string;
  /** Runs in place of the document's own text. */
  readonly text?: string;
}

/** The result of `dw.run`: 0 is running now, else the place in the queue. */
export interface Submitted {
  readonly runId: string;
  readonly position: number;
}

/** The result of `dw.cancel`. */
export interface Cancelled {
  readonly runId: string | null;
  readonly cancelled: boolean;
}

/** Every command of the server (`workspace/executeCommand`). */
export const SERVER_COMMANDS = [
  'dw.run',
  'dw.plan',
  'dw.cancel',
  'dw.memory',
  'dw.clear',
  'dw.ping',
  'dw.status',
  'dw.restart',
  'dw.shutdown',
  'dw.evict',
] as const;

export type ServerCommand = (typeof SERVER_COMMANDS)[number];
