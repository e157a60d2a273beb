import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { RunFinished, WorkerState } from '../../src/protocol.js';
import { WorkerEndings } from '../../src/runs/workerEndings.js';

const CRASHED: WorkerState = {
  state: 'crashed',
  exit: { code: 3, signal: null, reason: 'It has no torch.', stderrTail: [] },
};

function finished(type?: string): RunFinished {
  const run: RunFinished = {
    runId: 'r',
    uri: 'file:///a',
    outcome: type === undefined ? 'succeeded' : 'failed',
    seconds: 0,
    runCount: 0,
    seed: null,
    steps: [],
    results: [],
    loaded: [],
    reused: [],
    memory: null,
  };
  return type === undefined ? run : { ...run, error: { message: 'm', type } };
}

test('a worker that ends while nothing runs is told', () => {
  assert.equal(new WorkerEndings().toTell(CRASHED), 'The worker has ended: It has no torch.');
});

test('a worker that lives is not', () => {
  assert.equal(new WorkerEndings().toTell({ state: 'idle' }), undefined);
});

test('what a run has told is not told again', () => {
  const endings = new WorkerEndings();
  endings.runFinished(finished('NoWorker'));
  assert.equal(endings.toTell(CRASHED), undefined);
});

test('the next end is told again', () => {
  const endings = new WorkerEndings();
  endings.runFinished(finished('NoWorker'));
  endings.toTell(CRASHED);
  assert.notEqual(endings.toTell(CRASHED), undefined);
});

test('a worker that ends during a run is told with the run, though the state comes first', () => {
  const endings = new WorkerEndings();
  endings.toTell({ state: 'busy', runId: 'r' });
  assert.equal(endings.toTell(CRASHED), undefined);
});

test('a new worker has an end of its own', () => {
  const endings = new WorkerEndings();
  endings.runFinished(finished('WorkerEnded'));
  endings.toTell({ state: 'idle' });
  assert.notEqual(endings.toTell(CRASHED), undefined);
});

test('an end some time after a run is told', () => {
  const endings = new WorkerEndings();
  endings.toTell({ state: 'busy', runId: 'r' });
  endings.runFinished(finished());
  endings.toTell({ state: 'idle' });
  assert.notEqual(endings.toTell(CRASHED), undefined);
});
