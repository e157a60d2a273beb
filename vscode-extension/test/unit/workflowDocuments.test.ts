import assert from 'node:assert/strict';
import { test } from 'node:test';

import { mayBeWorkflow } from '../../src/workflowDocuments.js';

const document = (languageId: string, fileName: string, text = '') => ({
  languageId,
  fileName,
  getText: () => text,
});
const STEPS = '{"steps": [{"name": "a", "pipeline_reference": {}}]}';

for (const [name, expected, candidate] of [
  ['its language', true, document('dw-workflow', 'Untitled-1')],
  ['its name', true, document('json', '/x/a.dw.json')],
  ['its name with comments', true, document('jsonc', '/x/a.dw.jsonc')],
  ['its steps', true, document('json', '/x/a.json', STEPS)],
  ['steps of something else', false, document('json', '/x/a.json', '{"steps": [{"uses": "actions/checkout"}]}')],
  ['another JSON file', false, document('json', '/x/package.json', '{"name": "x"}')],
  ['another language with such text', false, document('python', '/x/a.py', STEPS)],
] as const) {
  test(`${name}: ${expected ? 'a workflow' : 'none'}`, () => {
    assert.equal(mayBeWorkflow(candidate), expected);
  });
}
