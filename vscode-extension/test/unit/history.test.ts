import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { RunFinished, RunStarted, StepResult } from '../../src/protocol.js';
import { entryView, factsOf, resultsState } from '../../src/results/presenting.js';
import { History, keptRecords, mainPicture } from '../../src/runs/history.js';

const started = (runId: string): RunStarted => ({
  runId,
  uri: 'file:///w/a.dw.json',
  workflow: 'shapes',
  steps: ['draw'],
  arguments: {},
  position: 0,
});
const picture = (step: string, index: number, path: string | null, contentType = 'image/png'): StepResult => ({
  step,
  index,
  path,
  contentType,
  bytes: 1,
  width: 64,
  height: 64,
});
const finished = (runId: string, more: Partial<RunFinished> = {}): RunFinished => ({
  runId,
  uri: 'file:///w/a.dw.json',
  outcome: 'succeeded',
  seconds: 0.42,
  runCount: 1,
  seed: 7,
  steps: [{ name: 'draw', outcome: 'ran', seconds: 0.4, loadSeconds: 0, peakBytes: 3 * 1024 ** 3, notes: [] }],
  results: [picture('draw', 0, `/out/${runId}.png`)],
  loaded: [],
  reused: [],
  memory: null,
  ...more,
});
const TEXT = '{ "variables": { "prompt": "a star" }, "steps": [] }';
const SUBMISSION = { uri: 'file:///w/a.dw.json', text: TEXT, arguments: { prompt: 'a circle' } };
const ADDRESSES = { inPage: (path: string) => `page:${path}`, outside: (path: string) => `file://${path}` };

function full(): History {
  const history = new History([], () => 3);
  for (const id of ['one', 'two']) {
    history.submitted(id, SUBMISSION);
    history.started(started(id), TEXT);
    history.finished(finished(id));
  }
  return history;
}

test('a run is kept with the text and values that it was submitted with', () => {
  const [record] = full().records;
  assert.equal(record?.id, 'two');
  assert.equal(record.text, TEXT);
  assert.equal(record.prompt, 'a circle');
  assert.deepEqual(record.arguments, { prompt: 'a circle' });
  assert.equal(record.peakBytes, 3 * 1024 ** 3);
});

test('a run that nobody here has asked for has the text of its document', () => {
  const history = new History([], () => 3);
  history.started(started('saved'), TEXT);
  assert.equal(history.current?.prompt, 'a star');
  assert.equal(history.finished(finished('saved'))?.text, TEXT);
  assert.equal(history.current, undefined);
});

test('what is known of a submission late goes before what was found at the start', () => {
  const history = new History([], () => 3);
  history.started(started('late'), 'the text as it is now');
  history.submitted('late', SUBMISSION);
  assert.equal(history.finished(finished('late'))?.text, TEXT);
});

test('previews and progress of another run change nothing', () => {
  const history = new History([], () => 3);
  history.started(started('one'), TEXT);
  history.preview({
    runId: 'other',
    step: 'draw',
    iteration: 0,
    current: 1,
    total: 2,
    contentType: 'image/png',
    data: '',
    width: 1,
    height: 1,
  });
  assert.equal(history.current?.preview, undefined);
});

test('a run that is cancelled in the queue leaves the running one and is not kept', () => {
  const history = new History([], () => 3);
  history.started(started('one'), TEXT);
  history.submitted('waiting', SUBMISSION);
  assert.equal(history.finished(finished('waiting', { outcome: 'cancelled', steps: [], results: [] })), undefined);
  assert.equal(history.current?.started.runId, 'one');
  assert.deepEqual(history.records, []);
});

test('only so many are kept, the newest first', () => {
  const history = full();
  for (const id of ['three', 'four']) history.finished(finished(id));
  assert.deepEqual(
    history.records.map((record) => record.id),
    ['four', 'three', 'two'],
  );
});

test('what is kept survives being stored, and rubbish is left out', () => {
  const stored: unknown = JSON.parse(JSON.stringify([...full().records, null, { id: 1 }, 'x']));
  assert.deepEqual(
    keptRecords(stored),
    full().records.map((record, index) => ({ ...record, ended: (stored as { ended: number }[])[index]?.ended })),
  );
  assert.deepEqual(keptRecords('no list'), []);
});

test('the picture is the first of the last step that has saved one', () => {
  const history = new History([], () => 3);
  const results = [
    picture('draw', 0, '/out/draw-0.png'),
    picture('vary', 0, '/out/vary-0.png'),
    picture('vary', 1, '/out/vary-1.png'),
    picture('grid', 0, null),
    picture('words', 0, '/out/words.txt', 'text/plain'),
  ];
  const record = history.finished(finished('many', { results }));
  assert(record);
  assert.equal(mainPicture(record)?.path, '/out/vary-0.png');
  assert.equal(history.lastWithPicture('file:///w/other.json'), undefined);
  assert.equal(history.lastWithPicture()?.id, 'many');
});

test('an entry says seed, time and memory', () => {
  const [record] = full().records;
  assert(record);
  assert.equal(factsOf(record), 'seed 7 · 0.4 s · peak 3.0 GB');
  const view = entryView(record, ADDRESSES);
  assert.equal(view.title, 'a circle');
  assert.equal(view.pictures[0]?.source, 'page:/out/two.png');
  assert.match(view.pictures[0].alternative, /step draw, 64 by 64 pixels: a circle/);
});

test('a failed run says so and can be told from the others', () => {
  const history = new History([], () => 3);
  const record = history.finished(
    finished('bad', { outcome: 'failed', results: [], error: { message: 'no memory', type: 'OutOfMemory' } }),
  );
  assert(record);
  assert.match(factsOf(record), /^failed/);
  assert.equal(entryView(record, ADDRESSES).error, 'no memory');
  assert.equal(entryView(record, ADDRESSES).canRunAgain, false);
});

test('a picture that is gone is not shown', () => {
  const [record] = full().records;
  assert(record);
  const view = entryView(record, { ...ADDRESSES, inPage: () => undefined });
  assert.deepEqual(view.pictures, []);
  assert.equal(view.thumbnail, undefined);
});

test('two runs are compared with what is different', () => {
  const { records, current } = full();
  const selection = { selected: 'one', compared: 'two' };
  const state = resultsState({ current, records, selection, trusted: true }, ADDRESSES);
  assert.deepEqual([state.comparison?.left.id, state.comparison?.right.id], ['one', 'two']);
  assert.deepEqual(state.comparison?.differences, []);
});

test('without a choice the newest is shown; one that was forgotten is no choice', () => {
  const history = full();
  history.forget('one');
  const { records, current } = history;
  const state = resultsState(
    { current, records, selection: { selected: 'one', compared: 'one' }, trusted: false },
    ADDRESSES,
  );
  assert.equal(state.selected, 'two');
  assert.equal(state.comparison, undefined);
});
