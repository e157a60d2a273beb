import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { MemoryReport } from '../../src/protocol.js';
import { budgetBytes, isAboveBudget, memoryTooltip } from '../../src/worker/memory.js';
import { workerTree, type WorkerFacts } from '../../src/worker/treeModel.js';

const GB = 1e9;
const REPORT: MemoryReport = {
  device: 'cuda:0',
  deviceName: 'RTX | 4090',
  allocatedBytes: 8 * GB,
  reservedBytes: 9 * GB,
  freeBytes: 15 * GB,
  totalBytes: 24 * GB,
  peakBytes: null,
  processBytes: 3 * GB,
  hostFreeBytes: null,
  runCount: 1,
  components: [
    { key: 'vae:1', name: 'vae', class: 'AutoencoderKL', bytes: GB, device: 'cuda:0', seconds: 1 },
    { key: 'unet:1', name: 'unet', class: 'UNet2DConditionModel', bytes: 6 * GB, device: 'cuda:0', seconds: 4 },
  ],
  growthBytes: null,
  warnings: [],
};
const FACTS: WorkerFacts = {
  state: { state: 'idle', pid: 5, python: '/p', versions: { python: '3.11', torch: '2.9' } },
  memory: REPORT,
  current: undefined,
  queued: [],
  session: [],
};

test('a budget is a fraction or a size', () => {
  assert.equal(budgetBytes(0.5, 24 * GB), 12 * GB);
  assert.equal(budgetBytes('20GB', 24 * GB), 20 * GB);
  assert.equal(budgetBytes('2 GiB', null), 2 * 1024 ** 3);
  assert.equal(budgetBytes('0.9', 10), 9);
  for (const bad of [undefined, 0, 2, 'much', '']) assert.equal(budgetBytes(bad, 10), undefined);
  assert.equal(budgetBytes(0.5, null), undefined);
});

test('more than the budget, or a warning, is shown', () => {
  assert.equal(isAboveBudget(REPORT, 0.9), false);
  assert.equal(isAboveBudget(REPORT, 0.3), true);
  assert.equal(isAboveBudget({ ...REPORT, allocatedBytes: null }, '6GB'), true, 'the components alone are more');
  assert.equal(isAboveBudget({ ...REPORT, warnings: ['it grows'] }, 0.9), true);
});

test('the tooltip has the components, largest first, and no markup of others', () => {
  const text = memoryTooltip(REPORT, 0.9);
  assert(text.indexOf('unet') < text.indexOf('vae'));
  assert.match(text, /RTX \\\| 4090/);
  assert.match(text, /budget 20\.1 GB/);
  assert.match(memoryTooltip({ ...REPORT, components: [] }, 0.9), /No model is loaded/);
});

test('the tree has state, device and components with their keys', () => {
  const tree = workerTree(FACTS);
  assert.deepEqual(
    tree.map((node) => node.id),
    ['state', 'device', 'components'],
  );
  const [largest] = tree[2]?.children ?? [];
  assert.deepEqual([largest?.label, largest?.kind, largest?.key], ['unet', 'component', 'unet:1']);
});

test('runs that wait stand behind the one that runs', () => {
  const current = {
    started: { runId: 'r', uri: 'u', workflow: 'w', steps: [], arguments: {}, position: 0 },
    began: 0,
    prompt: 'a star',
  };
  const [, , queue] = workerTree({ ...FACTS, current, queued: [{ runId: 'q', title: 'a circle' }] });
  assert.deepEqual(
    queue?.children?.map((node) => [node.label, node.description, node.key]),
    [
      ['a star', 'starting', 'r'],
      ['a circle', 'waiting, 1', 'q'],
    ],
  );
});

test('a crash is told first, and before anything is known there is nothing', () => {
  const exit = { code: null, signal: 'SIGSEGV', reason: 'It crashed.', stderrTail: [] };
  const [state] = workerTree({ ...FACTS, state: { state: 'crashed', exit }, memory: undefined });
  assert.equal(state?.children?.[0]?.description, 'It crashed.');
  assert.deepEqual(workerTree({ ...FACTS, state: undefined }), []);
});
