import assert from 'node:assert/strict';
import { test } from 'node:test';

import { laidOut, memberText, parseJsonc, withoutComments } from '../../src/text/jsonc.js';

test('comments and trailing commas go, what looks like them in strings stays', () => {
  const text = '{ // one\n "a": "http://x/*no*/,]", /* two */ "b": [1, 2, /* three */ ], }';
  assert.deepEqual(parseJsonc(text), { a: 'http://x/*no*/,]', b: [1, 2] });
  assert.equal(withoutComments(text).length, text.length, 'every other character stays where it is');
});

test('a quote that is escaped ends no string', () => {
  assert.deepEqual(parseJsonc('{"a": "\\"// no comment", }'), { a: '"// no comment' });
});

test('a byte order mark is no part of the text', () => {
  assert.deepEqual(parseJsonc('\uFEFF{}'), {});
});

test('a member is given as it is written, not one of the same name further in', () => {
  const json = '{"a": {"seed": 1}, "seed": 18446744073709551615, "b": ["seed", ":"], "last": {"x": "}"}}';
  assert.equal(memberText(json, 'seed'), '18446744073709551615');
  assert.equal(memberText(json, 'last'), '{"x": "}"}');
  assert.equal(memberText(json, 'x'), undefined);
});

test('laying out keeps every value as it is spelt', () => {
  const json = '{"id":"x","seed":18446744073709551615,"steps":[{"name":"a","n":3.0,"l":[1,2],"e":{},"f":[]}]}';
  const text = laidOut(json);
  assert.match(text, /18446744073709551615/);
  assert.match(text, /"n": 3\.0/);
  assert.match(text, /"l": \[1, 2\]/);
  assert.match(text, /"e": \{\}/);
  assert.deepEqual(JSON.parse(text), JSON.parse(json));
  assert(text.split('\n').length > 5, 'objects with objects in them take lines of their own');
});

test('a list too long for a line is broken', () => {
  const json = JSON.stringify({ prompts: Array.from({ length: 9 }, (_, index) => `a prompt number ${index}`) });
  assert(
    laidOut(json)
      .split('\n')
      .every((line) => line.length < 120),
  );
});
