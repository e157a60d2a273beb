import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';

import { NoPng, textsOf } from '../../src/text/png.js';
import { documentOfManifest, NoWorkflow, workflowOfImage } from '../../src/workflows/imageWorkflow.js';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

function chunk(type: string, content: Buffer | string): Buffer {
  const data = Buffer.from(content);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  return Buffer.concat([length, Buffer.from(type, 'latin1'), data, Buffer.alloc(4)]);
}

function png(...chunks: Buffer[]): Buffer {
  return Buffer.concat([SIGNATURE, chunk('IHDR', Buffer.alloc(13)), ...chunks, chunk('IEND', '')]);
}

const carrying = (text: string): Buffer => png(chunk('iTXt', `dw-lsp\0\0\0\0\0${text}`));
const TOLD =
  '{"format": 1, "step": "draw", "iteration": 0, "seed": 18446744073709551615, "workflow": {"id": "shapes", "seed": 18446744073709551615, "steps": [{"name": "drâw", "n": 3.0}]}, "device": "cpu"}';

test('texts are read, packed ones too', () => {
  const packed = Buffer.concat([Buffer.from('b\0\x01\0en\0B\0', 'latin1'), deflateSync('über')]);
  const texts = textsOf(png(chunk('tEXt', 'a\0plain'), chunk('iTXt', packed)));
  assert.deepEqual(
    [...texts],
    [
      ['a', 'plain'],
      ['b', 'über'],
    ],
  );
});

test('what is no PNG, or half of one, is said', () => {
  assert.throws(() => textsOf(Buffer.from('GIF89a')), NoPng);
  assert.throws(() => textsOf(carrying(TOLD).subarray(0, 60)), /cut off/);
});

test('a picture gives its workflow and seed back as they were', () => {
  const workflow = workflowOfImage(carrying(TOLD));
  assert.equal(workflow.seed, '18446744073709551615');
  assert.equal(workflow.step, 'draw');
  assert.match(workflow.text, /"seed": 18446744073709551615/);
  assert.match(workflow.text, /"n": 3\.0/);
  assert.match(workflow.text, /drâw/);
});

test('a picture of somebody else has none, and one that is too large says where it is', () => {
  assert.throws(() => workflowOfImage(png()), NoWorkflow);
  assert.throws(() => workflowOfImage(carrying('{"workflow": {"id": "x", "note": "n"}}')), /manifest\.json/);
  assert.throws(() => workflowOfImage(carrying('no json')), NoWorkflow);
});

test('a manifest names its document', () => {
  assert.equal(documentOfManifest('{"document": "/w/a.dw.json"}'), '/w/a.dw.json');
  assert.equal(documentOfManifest('{"document": null}'), undefined);
  assert.equal(documentOfManifest('{'), undefined);
});
