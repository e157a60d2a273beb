import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { MemoryReport, RunFinished, RunProgress } from '../../src/protocol.js';
import {
  failureOf,
  memoryLines,
  memoryText,
  progressShare,
  progressText,
  size,
  timeLeft,
} from '../../src/runs/wording.js';

const GIBIBYTE = 1024 ** 3;
const REPORT: MemoryReport = {
  device: 'cuda:0',
  deviceName: 'RTX 4090',
  allocatedBytes: 7 * GIBIBYTE,
  reservedBytes: 8.2 * GIBIBYTE,
  freeBytes: 15 * GIBIBYTE,
  totalBytes: 24 * GIBIBYTE,
  peakBytes: null,
  processBytes: 3 * GIBIBYTE,
  hostFreeBytes: 20 * GIBIBYTE,
  runCount: 1,
  components: [],
  growthBytes: null,
  warnings: [],
};
const PROGRESS: RunProgress = {
  runId: 'r',
  step: 'draw',
  stepIndex: 0,
  stepCount: 1,
  iteration: 0,
  iterationCount: 1,
  phase: 'denoising',
};
const FINISHED: RunFinished = {
  runId: 'r',
  uri: 'file:///a.dw.json',
  outcome: 'succeeded',
  seconds: 1,
  runCount: 1,
  seed: 7,
  steps: [],
  results: [],
  loaded: [],
  reused: [],
  memory: null,
};

test('a GPU shows what its allocator holds of the whole', () => {
  assert.equal(memoryText(REPORT), 'GPU 8.2/24.0 GB');
});

test('a CPU shows the process', () => {
  assert.equal(memoryText({ ...REPORT, device: 'cpu', totalBytes: 16 * GIBIBYTE }), 'CPU 3.0/16.0 GB');
});

test('what is not known is a question mark, never a zero', () => {
  const report = { ...REPORT, reservedBytes: null, allocatedBytes: null, totalBytes: null };
  assert.equal(memoryText(report), 'GPU ?/? GB');
});

test('lines leave out what is not known', () => {
  assert.ok(!memoryLines(REPORT).some((line) => line.startsWith('Peak')));
});

test('lines name components and warnings', () => {
  const component = { key: 'k', name: 'unet', class: 'UNet2DConditionModel', bytes: 5 * 1024 ** 2, device: 'cuda:0' };
  const lines = memoryLines({ ...REPORT, components: [{ ...component, seconds: 1 }], warnings: ['It grows.'] });
  assert.ok(lines.includes('unet (UNet2DConditionModel): 5 MB on cuda:0'));
  assert.equal(lines.at(-1), 'It grows.');
});

for (const [bytes, text] of [
  [640, '640 bytes'],
  [12 * 1024 ** 2, '12 MB'],
  [3.14 * GIBIBYTE, '3.1 GB'],
] as const) {
  test(`${bytes} bytes are ${text}`, () => {
    assert.equal(size(bytes), text);
  });
}

test('denoising counts', () => {
  assert.equal(progressText({ ...PROGRESS, current: 12, total: 25 }), 'draw 12/25');
});

test('iterations are counted from one', () => {
  assert.equal(
    progressText({ ...PROGRESS, iteration: 1, iterationCount: 4, current: 2, total: 9 }),
    'draw (2 of 4) 2/9',
  );
});

test('other phases are named with what they do', () => {
  assert.equal(progressText({ ...PROGRESS, phase: 'loading', message: 'vae' }), 'draw loading: vae');
});

test('time left is said in the unit that fits', () => {
  assert.equal(timeLeft({ ...PROGRESS, eta: 0.4 }), 'less than 1 s left');
  assert.equal(timeLeft({ ...PROGRESS, eta: 12.4 }), '12 s left');
  assert.equal(timeLeft({ ...PROGRESS, eta: 240 }), '4 min left');
  assert.equal(timeLeft({ ...PROGRESS, eta: 9000 }), '2.5 h left');
  assert.equal(timeLeft(PROGRESS), undefined);
});

test('the share counts steps, iterations and what is done of them', () => {
  const second = { ...PROGRESS, stepIndex: 1, stepCount: 2 };
  assert.equal(progressShare({ ...second, current: 5, total: 10 }), 0.75);
  assert.equal(progressShare({ ...PROGRESS, iteration: 1, iterationCount: 4, current: 0, total: 10 }), 0.25);
  assert.equal(progressShare({ ...PROGRESS, phase: 'loading' }), 0);
  assert.equal(progressShare({ ...PROGRESS, phase: 'saving' }), 1);
});

test('success and cancelling need no message', () => {
  assert.equal(failureOf(FINISHED), undefined);
  assert.equal(failureOf({ ...FINISHED, outcome: 'cancelled' }), undefined);
});

test('a failure names the step, the cause and what to do', () => {
  const error = { message: 'No model folder.', type: 'InvalidInput', step: 'draw', hint: 'Train it first.' };
  const failure = failureOf({ ...FINISHED, outcome: 'failed', error });
  assert.equal(failure?.message, 'The run failed in step "draw": No model folder. Train it first.');
  assert.equal(failure.interpreterAtFault, false);
});

test('a missing package is the interpreter that was chosen', () => {
  const error = { message: 'It has no torch.', type: 'NoWorker' };
  assert.equal(failureOf({ ...FINISHED, outcome: 'failed', error })?.interpreterAtFault, true);
});

test('a crash without an error is still a sentence', () => {
  assert.equal(failureOf({ ...FINISHED, outcome: 'crashed' })?.message, 'The run ended with a crash of the worker.');
});
