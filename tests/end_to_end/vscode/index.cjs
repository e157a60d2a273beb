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

/** What the extension lets others ask. */
const api = () => vscode.extensions.getExtension(EXTENSION).exports;

/** Where the Results view is open. */
function resultsColumn() {
  const group = vscode.window.tabGroups.all.find((one) =>
    one.tabs.some((tab) => String(tab.input?.viewType).includes('dwLsp.results')),
  );
  return group?.viewColumn;
}

/** Starts a run and waits for its record. */
async function toRecord(run, ms) {
  const submitted = await run();
  assert.equal(typeof submitted?.runId, 'string', `the run's answer is ${JSON.stringify(submitted)}`);
  assert.equal(submitted.position, 0);
  return recordOf(submitted.runId, ms);
}

const recordOf = (runId, ms = 30_000) =>
  until(`end of the run ${runId}`, () => api().results().find((record) => record.id === runId), ms);

/** The same for a run that makes a picture. */
async function toPicture(run, ms) {
  const record = await toRecord(run, ms);
  assert.equal(record.outcome, 'succeeded', record.error);
  const picture = record.files.find((file) => file.contentType === 'image/png');
  assert(picture, 'the run has made a picture');
  pictures.push(picture.path);
  return record;
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

  async 'other JSON that is a workflow keeps its language, and no mistake is marked twice'() {
    const editor = await open('other.json');
    assert.equal(editor.document.languageId, 'json');
    const all = await until('findings', () => {
      const found = vscode.languages.getDiagnostics(editor.document.uri);
      const sources = new Set(found.map((finding) => finding.source));
      return sources.has('dw') && found.some((finding) => finding.source !== 'dw') && found;
    });
    const codes = all.filter((finding) => finding.source === 'dw').map((finding) => finding.code?.value ?? finding.code);
    assert(codes.includes('unknown-variable'), codes.join());
    assert(!codes.includes('syntax'), 'the editor marks it by itself');
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

  async 'completion, hover and rename are there'() {
    const editor = await open('shapes.dw.json');
    const text = editor.document.getText();
    const at = editor.document.positionAt(text.indexOf('variable:prompt') + 'variable:pro'.length);
    const proposals = await command('vscode.executeCompletionItemProvider', editor.document.uri, at);
    const labels = proposals.items.map((item) => item.label.label ?? item.label);
    assert(labels.some((label) => /prompt/.test(label)), labels.join());
    const hovers = await command('vscode.executeHoverProvider', editor.document.uri, at);
    assert.match(hovers.map((hover) => hover.contents.map((part) => part.value).join()).join(), /yellow star/);
    const edit = await command('vscode.executeDocumentRenameProvider', editor.document.uri, at, 'words');
    const edits = edit.get(editor.document.uri);
    assert.equal(edits.length, 2, 'the declaration and the reference');
  },

  async 'the memory of the worker is shown before the first run'() {
    assert.match(await until('memory', () => api().memoryText(), FIRST_RUN_MS), /^\$\(chip\) CPU \d/);
  },

  async 'Run Workflow returns the run, and its picture is shown beside the text'() {
    const editor = await open('shapes.dw.json');
    const record = await runToPicture(FIRST_RUN_MS);
    assert.equal(record.prompt, 'a yellow star on a blue background');
    assert.equal(record.seed, 7);
    assert.equal(await until('Results view', resultsColumn), vscode.ViewColumn.Two);
    assert.equal(vscode.window.activeTextEditor, editor, 'the workflow keeps the focus');
    assert.equal(vscode.window.tabGroups.activeTabGroup.viewColumn, vscode.ViewColumn.One);
  },

  async 'the memory item says what the worker holds'() {
    assert.match(await until('memory', () => api().memoryText()), /^\$\(chip\) CPU \d+\.\d\/\d+\.\d GB$/);
  },

  async 'the Worker view shows state, components and outputs'() {
    const tree = await until('idle worker', () => {
      const nodes = api().workerView();
      return nodes[0]?.description === 'idle' && nodes;
    });
    const components = tree.find((node) => node.id === 'components').children;
    assert(components.some((node) => node.label === 'unet' && /MB on cpu/.test(node.description)));
    assert.equal(tree.find((node) => node.id === 'outputs').children[0].file, pictures[0]);
  },

  async 'a component can be evicted'() {
    const before = api().workerView().find((node) => node.id === 'components').children;
    const vae = before.find((node) => node.label === 'vae');
    const report = await command('dwLsp.evict', vae);
    assert(!report.components.some((component) => component.key === vae.key), 'the vae is gone');
    assert.equal(report.components.length, before.length - 1);
  },

  async 'what runs is the text in the editor, saved or not'() {
    const editor = await open('shapes.dw.json');
    await replace(editor, 'a yellow star on a blue background', 'a red circle on a green background');
    const record = await runToPicture();
    assert.equal(record.prompt, 'a red circle on a green background');
    assert(editor.document.isDirty, 'running saves nothing');
    assert.equal(resultsColumn(), vscode.ViewColumn.Two);
    await command('workbench.action.files.revert');
  },

  async 'Run with Arguments gives values to the variables'() {
    const { document } = await open('shapes.dw.json');
    const uri = document.uri.toString();
    const given = { prompt: 'a white square on a black background' };
    const record = await toPicture(() => command('dwLsp.runWithArguments', { uri, arguments: given }));
    assert.equal(record.prompt, given.prompt);
    assert.deepEqual(record.arguments, given);
  },

  async 'Run Selection of Variants queues a run for each value'() {
    const { document } = await open('shapes.dw.json');
    const uri = document.uri.toString();
    const submitted = await command('dwLsp.runVariants', { uri, name: 'seed', values: [31, 32, 33] });
    assert.equal(submitted.length, 3);
    const records = await Promise.all(submitted.map(({ runId }) => recordOf(runId)));
    assert.deepEqual(
      records.map((record) => record.seed),
      [31, 32, 33],
    );
  },

  async 'two results are compared, and the last one opened'() {
    const [newer, older] = api().results();
    assert.deepEqual(await command('dwLsp.compareResults', [older.id, newer.id]), [older.id, newer.id]);
    await open('shapes.dw.json');
    assert.equal((await command('dwLsp.openLastResult')).id, newer.id);
  },

  async 'a picture gives its workflow and seed back, and that runs to the same picture'() {
    const document = await command('dwLsp.openWorkflowOfImage', vscode.Uri.file(pictures[0]));
    assert.equal(document.languageId, 'dw-workflow');
    const workflow = JSON.parse(document.getText());
    assert.equal(workflow.seed, 7);
    assert.equal(path.dirname(document.uri.fsPath), folder.fsPath, 'it lies where its relative paths lead to the same');
    fs.writeFileSync(path.join(folder.fsPath, 'again.dw.json'), document.getText());
    await command('workbench.action.revertAndCloseActiveEditor');
    await open('again.dw.json');
    await runToPicture();
    assert.deepEqual(fs.readFileSync(pictures.at(-1)), fs.readFileSync(pictures[0]));
  },

  async 'a new workflow comes from a template without mistakes'() {
    const document = await command('dwLsp.newWorkflow', 'text-to-image.dw.json');
    assert(document.isUntitled);
    assert.equal(document.languageId, 'dw-workflow');
    // Before the text came in, the empty document had one.
    const errors = () => vscode.languages.getDiagnostics(document.uri).filter((finding) => finding.severity === 0);
    await until('document without errors', () => errors().length === 0);
    assert.match(document.getText(), /StableDiffusionXLPipeline/);
    await command('workbench.action.revertAndCloseActiveEditor');
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
    const record = await toPicture(() => command('dwLsp.runToHere'), 30_000);
    assert.equal(record.step, 'draw');
  },

  async 'lenses can be switched off, and the commands are still there'() {
    const editor = await open('shapes.dw.json');
    const settings = vscode.workspace.getConfiguration('dw');
    const lenses = () => command('vscode.executeCodeLensProvider', editor.document.uri, 10);
    await settings.update('codeLens.enabled', false, vscode.ConfigurationTarget.Global);
    try {
      await until('document without lenses', async () => (await lenses()).length === 0);
      await toPicture(() => command('dwLsp.runToHere'), 30_000);
    } finally {
      await settings.update('codeLens.enabled', undefined, vscode.ConfigurationTarget.Global);
    }
  },

  async 'an error of a run stands at its step until the document is edited there'() {
    const editor = await open('fails.dw.json');
    const record = await toRecord(() => command('dwLsp.runWorkflow'), 30_000);
    assert.equal(record.outcome, 'failed');
    const problems = () =>
      vscode.languages.getDiagnostics(editor.document.uri).filter((finding) => finding.source === 'dw run');
    const [problem] = await until('problem', () => problems().length > 0 && problems());
    assert.match(problem.message, /in step "crop"/);
    const name = editor.document.positionAt(editor.document.getText().indexOf('"crop"'));
    assert(problem.range.end.line >= name.line, `the problem stands at ${problem.range.start.line}, not in its step`);
    await replace(editor, '"id"', '"id" ');
    await until('document without problems', () => problems().length === 0);
    await command('workbench.action.files.revert');
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
    assert.equal((await recordOf(runId)).outcome, 'cancelled');
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

  async 'a worker that crashes is told, and the next run has a new one'() {
    const { pid } = await command('dw.status');
    process.kill(pid, 'SIGKILL');
    await until('crash', () => api().workerView()[0]?.description === 'crashed');
    await open('shapes.dw.json');
    await runToPicture(FIRST_RUN_MS);
  },

  async 'a second folder is served by the same server'() {
    const second = vscode.Uri.file(process.env.DW_TEST_SECOND_FOLDER);
    const before = vscode.workspace.workspaceFolders.length;
    assert(vscode.workspace.updateWorkspaceFolders(before, 0, { uri: second }));
    await until('second folder', () => vscode.workspace.workspaceFolders.length === before + 1);
    const document = await vscode.workspace.openTextDocument(vscode.Uri.joinPath(second, 'mistake.dw.json'));
    const editor = await vscode.window.showTextDocument(document, { preview: false });
    await until('finding in the second folder', () => findings(editor).length > 0);
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

/** The worker's Python has no torch. */
const bare = {
  ...common,

  async 'it is known what the Python of the worker lacks'() {
    const python = await until('interpreter', () => api().workerPython());
    assert.deepEqual(python.missing, ['torch', 'diffusers', 'transformers']);
  },

  async 'nothing is run, and no worker is started in vain'() {
    await open('shapes.dw.json');
    assert.equal(await command('dwLsp.runWorkflow'), undefined);
    assert.equal((await command('dw.status')).state, 'stopped');
  },

  async 'another interpreter is taken at once, and runs'() {
    const python = process.env.DW_TEST_GOOD_PYTHON;
    const settings = vscode.workspace.getConfiguration('dw');
    await settings.update('worker.python', python, vscode.ConfigurationTarget.Workspace);
    await until('complete interpreter', async () => (await api().workerPython())?.missing.length === 0);
    await open('shapes.dw.json');
    await runToPicture(FIRST_RUN_MS);
    assert.equal((await command('dw.status')).python !== undefined, true);
  },
};

const suites = { full, untrusted, bare };

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
