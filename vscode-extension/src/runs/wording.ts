/**
 * How runs and memory are said: in the status bar, in messages and in the log. Pure functions of what the server sends.
 */
import type { MemoryReport, Range, RunFinished, RunOutcome, RunProgress } from '../protocol.js';

const GIBIBYTE = 1024 ** 3;
const MEBIBYTE = 1024 ** 2;
const KIBIBYTE = 1024;

/** `8.2`: gibibytes with one decimal. */
function gibibytes(bytes: number): string {
  return (bytes / GIBIBYTE).toFixed(1);
}

/** `3.1 GB`, `12 MB`, `8 kB`, `640 bytes`. */
export function size(bytes: number): string {
  if (bytes >= GIBIBYTE) return `${gibibytes(bytes)} GB`;
  if (bytes >= MEBIBYTE) return `${(bytes / MEBIBYTE).toFixed(0)} MB`;
  if (bytes >= KIBIBYTE) return `${(bytes / KIBIBYTE).toFixed(0)} kB`;
  return `${bytes} bytes`;
}

/** `0.8 s`, `75 s`. */
export function duration(seconds: number): string {
  return `${seconds < 10 ? seconds.toFixed(1) : seconds.toFixed(0)} s`;
}

/** Whether the report speaks of the host's memory. */
function isCpu(report: MemoryReport): boolean {
  return report.device === 'cpu';
}

/** Bytes that the worker holds: what its allocator has taken on a device, the process on a CPU. */
function held(report: MemoryReport): number | null {
  return isCpu(report)
    ? (report.processBytes ?? report.allocatedBytes)
    : (report.reservedBytes ?? report.allocatedBytes);
}

/** `GPU 8.2/24.0 GB`, `CPU 1.1/15.6 GB`; `?` for what is not known. */
export function memoryText(report: MemoryReport): string {
  const bytes = held(report);
  const used = bytes === null ? '?' : gibibytes(bytes);
  const total = report.totalBytes === null ? '?' : gibibytes(report.totalBytes);
  return `${isCpu(report) ? 'CPU' : 'GPU'} ${used}/${total} GB`;
}

/** The report in lines, for the tooltip and the log. */
export function memoryLines(report: MemoryReport): string[] {
  const facts: [string, number | null][] = [
    ['Free', report.freeBytes],
    ['Peak of the last run', report.peakBytes],
    ['Worker process', report.processBytes],
    ['Free on the host', report.hostFreeBytes],
  ];
  const known = facts.flatMap(([name, bytes]) => (bytes === null ? [] : [`${name}: ${size(bytes)}`]));
  const components = report.components.map(
    (component) => `${component.name} (${component.class}): ${size(component.bytes)} on ${component.device}`,
  );
  const loaded = components.length > 0 ? components : ['No model is loaded.'];
  return [`${report.deviceName}: ${memoryText(report)}`, ...known, ...loaded, ...report.warnings];
}

/** `generate 12/25`, `loading: transformer`, `generate (2 of 4) decoding`: what a run is doing. */
export function progressText(progress: RunProgress): string {
  const iteration = progress.iterationCount > 1 ? ` (${progress.iteration + 1} of ${progress.iterationCount})` : '';
  if (progress.phase === 'denoising' && progress.current !== undefined && progress.total !== undefined) {
    return `${progress.step}${iteration} ${progress.current}/${progress.total}`;
  }
  const detail = progress.message === undefined ? '' : `: ${progress.message}`;
  return `${progress.step}${iteration} ${progress.phase}${detail}`;
}

/** The share of a run that is done, 0 to 1, as if all its steps and their iterations took equally long. */
export function progressShare(progress: RunProgress): number {
  const { current, total, phase } = progress;
  const counted = (phase === 'denoising' || phase === 'task') && current !== undefined && total !== undefined;
  const over = phase === 'decoding' || phase === 'saving';
  const inside = counted && total > 0 ? Math.min(1, current / total) : over ? 1 : 0;
  const iterations = Math.max(1, progress.iterationCount);
  return Math.min(
    1,
    (progress.stepIndex + (progress.iteration + inside) / iterations) / Math.max(1, progress.stepCount),
  );
}

/** `12 s left`, `3 min left`; `undefined` when it is not known. */
export function timeLeft(progress: RunProgress): string | undefined {
  const { eta } = progress;
  if (eta === undefined || !Number.isFinite(eta) || eta < 0) return undefined;
  if (eta < 1) return 'less than 1 s left';
  if (eta < 100) return `${Math.round(eta)} s left`;
  return eta < 6000 ? `${Math.round(eta / 60)} min left` : `${(eta / 3600).toFixed(1)} h left`;
}

/** What the user has to be told about a run that did not succeed. */
export interface Failure {
  readonly message: string;
  readonly range: Range | undefined;
  readonly traceback: string | undefined;
  /** The worker's Python is what is wrong: another one may be chosen. */
  readonly interpreterAtFault: boolean;
}

/** Errors of a Python that lacks packages, or in which no worker starts. */
const INTERPRETER_ERRORS = new Set(['ModuleNotFoundError', 'ImportError', 'NoWorker']);

/** `undefined` for runs that succeeded or that the user has cancelled: they need no message. */
export function failureOf(finished: RunFinished): Failure | undefined {
  if (finished.outcome === 'succeeded' || finished.outcome === 'cancelled') return undefined;
  const ended = `The run ${OUTCOMES[finished.outcome]}`;
  const error = finished.error;
  if (error === undefined) {
    return { message: `${ended}.`, range: undefined, traceback: undefined, interpreterAtFault: false };
  }
  const where = error.step === undefined ? '' : ` in step "${error.step}"`;
  const hint = error.hint === undefined ? '' : ` ${error.hint}`;
  return {
    message: `${ended}${where}: ${error.message}${hint}`,
    range: error.range,
    traceback: error.traceback,
    interpreterAtFault: INTERPRETER_ERRORS.has(error.type),
  };
}

/** How a run ended, behind "The run". */
export const OUTCOMES: Readonly<Record<RunOutcome, string>> = {
  succeeded: 'succeeded',
  failed: 'failed',
  cancelled: 'was cancelled',
  timedOut: 'took too long',
  crashed: 'ended with a crash of the worker',
};
