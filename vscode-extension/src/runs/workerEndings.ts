/**
 * Which end of a worker has to be told by itself: one that a run has met is told with the run, and nothing twice.
 */
import type { RunFinished, WorkerState } from '../protocol.js';

/** Errors of runs that say that the worker did not start or has ended. */
const TOLD_WITH_RUN = new Set(['NoWorker', 'WorkerCrashed', 'WorkerEnded']);

export class WorkerEndings {
  private running = false;
  private told = false;

  public runFinished(finished: RunFinished): void {
    this.told = finished.error !== undefined && TOLD_WITH_RUN.has(finished.error.type);
  }

  /** The sentence for the user, `undefined` when there is nothing new to say. */
  public toTell(state: WorkerState): string | undefined {
    const withRun = this.told || this.running;
    this.running = state.runId !== undefined;
    if (state.state === 'idle' || state.state === 'busy') this.told = false;
    if (state.state !== 'crashed') return undefined;
    this.told = false;
    return withRun ? undefined : `The worker has ended: ${state.exit?.reason ?? 'for an unknown reason'}`;
  }
}
