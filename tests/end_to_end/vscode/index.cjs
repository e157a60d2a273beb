// Tests that run inside the editor's extension host, with its real `vscode` API and the installed extension.
// run.py starts them: DW_TEST_SUITE names the suite, the report goes to DW_TEST_REPORT.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const vscode = require('vscode');

const EXTENSION = 'dw-lsp.dw-lsp';
const FIRST_RUN_MS = 90_000; // the worker imports torch and loads the model
const folder = vscode.workspace.workspaceFolders[0].uri;
const pictures = [];

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What `question` answers as soon as it is not falsy. */
async function until(what, question, ms = 20_000) {
  for (const end = Date.now() + ms; ; ) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`after ${ms} ms: no ${what}`);
    await pause(50);
  }
}

async function open(name) {
  const uri = vscode.Uri.joinPath(folder, name);
  const document = await vscode.workspace.openTextDocument(uri);
  return vscode.window.showTextDocument(document, { viewColumn: vscode.ViewColumn.One, preview: false });
}

const command = (id, ...args) => vscode.commands.executeCommand(id, ...args);
const findings = (editor) =>
  vscode.languages.getDiagnostics(editor.document.uri).filter((finding) => finding.source === 'dw');

/** Paths of the pictures that are open, by column. */
function openPictures() {
  return vscode.window.tabGroups.all.flatMap((group) =>
    group.tabs
      .filter((tab) => tab.input?.uri?.path.endsWith('.png'))
      .map((tab) => ({ column: group.viewColumn, path: tab.input.uri.fsPath })),
  );
}

/** Starts a run and waits for a picture that was not there before. */
async function toPicture(run, ms) {
  const before = new Set(openPictures().map((picture) => picture.path));
  const submitted = await run();
  assert.equal(typeof submitted?.runId, 'string', `the run's answer is ${JSON.stringify(submitted)}`);
  assert.equal(submitted.position, 0);
  const picture = await until('new picture', () => openPictures().find(({ path: one }) => !before.has(one)), ms);
  pictures.push(picture.path);
  return picture;
}

const runToPicture = (ms) => toPicture(() => command('dwLsp.runWorkflow'), ms);

async function replace(editor, from, to) {
  const start = editor.document.getText().indexOf(from);
  assert.notEqual(start, -1, `${from} is not in the document`);
  const range = new vscode.Range(editor.document.positionAt(start), editor.document.positionAt(start + from.length));
  assert(await editor.edit((edit) => edit.replace(range, to)));
}

const common = {
  async 'a workflow has its own language and starts the extension'() {
    const editor = await open('mistake.dw.json');
    assert.equal(editor.document.languageId, 'dw-workflow');
    const extension = vscode.extensions.getExtension(EXTENSION);
    assert(extension, 'the extension is not installed');
    await until('active extension', () => extension.isActive);
  },

  async 'a mistake is marked at its token, behind emoji and accents'() {
    const editor = await open('mistake.dw.json');
    const found = await until('unknown-variable', () =>
      findings(editor).find((finding) => (finding.code?.value ?? finding.code) === 'unknown-variable'),
    );
    assert.match(editor.document.getText(found.range), /^"?(variable:)?promt"?$/);
    assert.equal(found.severity, vscode.DiagnosticSeverity.Error);
  },

  async 'another JSON file gets no findings'() {
    const mistaken = await open('mistake.dw.json');
    await until('finding in the workflow', () => findings(mistaken).length > 0);
    const editor = await open('plain.json');
    await pause(500);
    assert.deepEqual(findings(editor), []);
  },
};

const full = {
  ...common,

  async 'the mistake goes when it is mended'() {
    const editor = await open('mistake.dw.json');
    await until('finding', () => findings(editor).length > 0);
    await replace(editor, 'variable:promt', 'variable:prompt');
    await until('document without errors', () => findings(editor).every((finding) => finding.severity > 0));
    await command('workbench.action.files.revert');
  },

  async 'lenses stand over the document and its steps'() {
    const editor = await open('shapes.dw.json');
    const lenses = await until('lenses', async () => {
      const found = await command('vscode.executeCodeLensProvider', editor.document.uri, 10);
      return found.length >= 2 && found;
    });
    assert.deepEqual(
      lenses.map((lens) => lens.command.command),
      lenses.map(() => 'dw.run'),
    );
    assert.equal(lenses[0].command.title, 'Run Workflow');
    assert.equal(lenses[1].command.arguments[0].step, 'draw');
  },

  async 'Run Workflow returns the run, and its picture opens beside the text'() {
    const editor = await open('shapes.dw.json');
    assert.equal((await runToPicture(FIRST_RUN_MS)).column, vscode.ViewColumn.Two);
    assert.equal(vscode.window.activeTextEditor, editor, 'the workflow keeps the focus');
    assert.equal(vscode.window.tabGroups.activeTabGroup.viewColumn, vscode.ViewColumn.One);
  },

  async 'what runs is the text in the editor; its picture takes the old one\'s place'() {
    const editor = await open('shapes.dw.json');
    await replace(editor, 'a yellow star on a blue background', 'a red circle on a green background');
    assert.equal((await runToPicture(30_000)).column, vscode.ViewColumn.Two);
    assert(editor.document.isDirty, 'running saves nothing');
    assert.equal(openPictures().length, 1);
    await command('workbench.action.files.revert');
  },

  async 'a lens runs up to its step'() {
    const editor = await open('shapes.dw.json');
    const lenses = await command('vscode.executeCodeLensProvider', editor.document.uri, 10);
    await toPicture(() => command(lenses[1].command.command, ...lenses[1].command.arguments), 30_000);
  },

  async 'Run to Here takes the step under the cursor'() {
    const editor = await open('shapes.dw.json');
    const line = editor.document.positionAt(editor.document.getText().indexOf('num_inference_steps')).line;
    editor.selection = new vscode.Selection(line, 0, line, 0);
    await toPicture(() => command('dwLsp.runToHere'), 30_000);
  },

  async 'memory is known'() {
    const report = await command('dwLsp.showMemory');
    assert.equal(report.device, 'cpu');
    assert(report.processBytes > 50e6, `${report.processBytes} bytes`);
    assert(report.components.length > 0);
  },

  async 'a run can be cancelled'() {
    const editor = await open('shapes.dw.json');
    await replace(editor, '"steps": 20', '"steps": 900');
    const { runId } = await command('dwLsp.runWorkflow');
    await until('busy worker', async () => (await command('dw.status')).state === 'busy');
    assert.deepEqual(await command('dwLsp.cancelRun'), { runId, cancelled: true });
    await until('idle worker', async () => (await command('dw.status')).state === 'idle');
    await command('workbench.action.files.revert');
  },

  async 'a document with errors is refused'() {
    const editor = await open('mistake.dw.json');
    await until('finding', () => findings(editor).length > 0);
    const before = (await command('dw.memory')).runCount;
    assert.equal(await command('dwLsp.runWorkflow'), undefined);
    assert.equal((await command('dw.memory')).runCount, before);
  },

  async 'clearing lets go of every component'() {
    assert.deepEqual((await command('dwLsp.clearMemory')).components, []);
  },

  async 'the worker restarts'() {
    const before = await command('dw.status');
    const after = await command('dwLsp.restartWorker');
    assert(after?.pid > 0);
    assert.notEqual(after.pid, before.pid);
  },

  async 'after a restart of the server everything is there again, once'() {
    const commands = (await vscode.commands.getCommands(true)).filter((id) => id.startsWith('dw.'));
    await command('dwLsp.restartServer');
    const editor = await open('mistake.dw.json');
    await until('finding', () => findings(editor).length > 0);
    const again = (await vscode.commands.getCommands(true)).filter((id) => id.startsWith('dw.'));
    assert.deepEqual(again.sort(), commands.sort());
    await open('shapes.dw.json');
    await runToPicture(FIRST_RUN_MS);
  },
};

const untrusted = {
  async 'the workspace is not trusted'() {
    assert.equal(vscode.workspace.isTrusted, false);
  },

  ...common,

  async 'nothing is run'() {
    await open('shapes.dw.json');
    assert.equal(await command('dwLsp.runWorkflow'), undefined);
    assert.notEqual((await command('dw.status')).state, 'busy');
  },

  async 'no worker was started ahead of a run'() {
    assert.equal((await command('dw.status')).state, 'stopped');
  },
};

const suites = { full, untrusted };

exports.run = async () => {
  const suite = suites[process.env.DW_TEST_SUITE ?? 'full'];
  const report = { passed: [], failed: [], pictures };
  for (const [name, test] of Object.entries(suite)) {
    const began = Date.now();
    try {
      await test();
      report.passed.push(`${name} (${Date.now() - began} ms)`);
    } catch (error) {
      report.failed.push(`${name}: ${error.stack}`);
    }
  }
  // Written whole and then named, so that whoever waits for the file never reads half of it.
  const file = process.env.DW_TEST_REPORT;
  fs.writeFileSync(`${file}.part`, JSON.stringify(report));
  fs.renameSync(`${file}.part`, path.resolve(file));
  if (report.failed.length > 0) throw new Error(`${report.failed.length} failed`);
};
