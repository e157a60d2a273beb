import assert from 'node:assert/strict';
import { test } from 'node:test';

import { OneAtATime } from '../../src/server/oneAtATime.js';

/** Work that ends when told to, and remembers what happened. */
class Work {
  public readonly turns: boolean[] = [];
  public most = 0;
  private active = 0;
  private ends: ((error?: Error) => void)[] = [];

  public readonly run = async (forced: boolean): Promise<void> => {
    this.turns.push(forced);
    this.most = Math.max(this.most, ++this.active);
    try {
      await new Promise<void>((resolve, reject) => {
        this.ends.push((error) => {
          if (error) reject(error);
          else resolve();
        });
      });
    } finally {
      this.active -= 1;
    }
  };

  /** Ends the turn that runs. */
  public async end(error?: Error): Promise<void> {
    await pause();
    this.ends.shift()?.(error);
    await pause();
  }
}

const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a burst of requests becomes the running turn and one more', async () => {
  const work = new Work();
  const turns = new OneAtATime(work.run);
  const asked = [turns.request(false), turns.request(false), turns.request(false), turns.request(false)];
  await work.end();
  await work.end();
  await Promise.all(asked);
  assert.equal(work.turns.length, 2);
  assert.equal(work.most, 1);
});

test('the waiting turn is forced when one of those who share it insists', async () => {
  const work = new Work();
  const turns = new OneAtATime(work.run);
  const asked = [turns.request(false), turns.request(false), turns.request(true), turns.request(false)];
  await work.end();
  await work.end();
  await Promise.all(asked);
  assert.deepEqual(work.turns, [false, true]);
});

test('a turn that fails does not stop the waiting one', async () => {
  const work = new Work();
  const turns = new OneAtATime(work.run);
  const first = assert.rejects(turns.request(false), { message: 'broken' });
  const second = turns.request(false);
  await work.end(new Error('broken'));
  await work.end();
  await first;
  await second;
  assert.equal(work.turns.length, 2);
});

test('after the last turn a request begins anew', async () => {
  const work = new Work();
  const turns = new OneAtATime(work.run);
  const first = turns.request(false);
  await work.end();
  await first;
  const second = turns.request(true);
  await work.end();
  await second;
  assert.deepEqual(work.turns, [false, true]);
});

test('a request from inside the work waits instead of overlapping', async () => {
  let most = 0;
  let active = 0;
  let inner: Promise<void> | undefined;
  const turns: OneAtATime = new OneAtATime(async () => {
    most = Math.max(most, ++active);
    inner ??= turns.request(false);
    await pause();
    active -= 1;
  });
  await turns.request(false);
  await inner;
  assert.equal(most, 1);
});

test('settled waits for the waiting turn too and never rejects', async () => {
  const work = new Work();
  const turns = new OneAtATime(work.run);
  turns.request(false).catch(() => undefined);
  turns.request(false).catch(() => undefined);
  let settled = false;
  const wait = turns.settled().then(() => {
    settled = true;
  });
  await work.end(new Error('broken'));
  assert.equal(settled, false);
  await work.end(new Error('broken'));
  await wait;
});
