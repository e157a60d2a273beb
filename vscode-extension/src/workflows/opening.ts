/**
 * Documents that are made and not opened from a file: a new workflow from a template, the workflow of a picture.
 */
import { existsSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import * as vscode from 'vscode';

import { messageOf, type Log } from '../log.js';
import { LANGUAGE } from '../workflowDocuments.js';
import { documentOfManifest, workflowOfImage, type ImageWorkflow } from './imageWorkflow.js';
import { TEMPLATES } from './templates.js';

export class WorkflowOpening {
  public constructor(
    private readonly extension: vscode.Uri,
    private readonly log: Log,
  ) {}

  /** Opens a copy of a template as a document without a file. @param given name of a template */
  public async newWorkflow(given?: unknown): Promise<vscode.TextDocument | undefined> {
    const items = TEMPLATES.map((template) => ({
      label: template.title,
      detail: template.detail,
      file: template.file,
    }));
    const chosen =
      items.find(({ file }) => file === given) ??
      (await vscode.window.showQuickPick(items, { title: 'New Workflow', placeHolder: 'What shall it do?' }));
    if (chosen === undefined) return undefined;
    const file = vscode.Uri.joinPath(this.extension, 'templates', chosen.file);
    const text = Buffer.from(await vscode.workspace.fs.readFile(file)).toString('utf8');
    const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
    return open(text, folder && freePath(folder.fsPath, path.basename(chosen.file, '.dw.json')));
  }

  /** Opens what a picture carries, beside the document that it was made from. @param given the picture */
  public async openWorkflowOfImage(given?: unknown): Promise<vscode.TextDocument | undefined> {
    const image = given instanceof vscode.Uri ? given : await chooseImage();
    if (image === undefined) return undefined;
    try {
      return await openBeside(image.fsPath, workflowOfImage(Buffer.from(await vscode.workspace.fs.readFile(image))));
    } catch (error) {
      this.log.showError(`${path.basename(image.fsPath)}: ${messageOf(error)}`);
      return undefined;
    }
  }
}

/** A picture's workflow, beside the document that it was made from, where its relative paths lead to what they did. */
function openBeside(image: string, workflow: ImageWorkflow): Promise<vscode.TextDocument> {
  const source = sourceOf(image);
  const stem = `${path.basename(source ?? workflow.id).replace(/(\.dw)?\.jsonc?$/, '')}-of-picture`;
  const folder = source === undefined ? vscode.workspace.workspaceFolders?.[0]?.uri.fsPath : path.dirname(source);
  return open(workflow.text, folder === undefined ? undefined : freePath(folder, stem));
}

/** The document that a picture was made from, as its run's manifest says, if it is still there. */
function sourceOf(image: string): string | undefined {
  const manifest = [path.dirname(image), path.dirname(path.dirname(image))]
    .map((folder) => path.join(folder, 'manifest.json'))
    .find(existsSync);
  const source = manifest === undefined ? undefined : documentOfManifest(readFileSync(manifest, 'utf8'));
  return source !== undefined && existsSync(path.dirname(source)) ? source : undefined;
}

async function chooseImage(): Promise<vscode.Uri | undefined> {
  const active = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
  if (active instanceof vscode.TabInputCustom && active.uri.path.endsWith('.png')) return active.uri;
  const chosen = await vscode.window.showOpenDialog({ title: 'Open Workflow of Image', filters: { PNG: ['png'] } });
  return chosen?.[0];
}

/** A name in the folder that no file has yet. */
function freePath(folder: string, stem: string): string {
  for (let count = 1; ; count += 1) {
    const name = path.join(folder, `${stem}${count === 1 ? '' : `-${count}`}.dw.json`);
    const open = vscode.workspace.textDocuments.some((document) => document.uri.fsPath === name);
    if (!open && !existsSync(name)) return name;
  }
}

/** A document that is not saved; saving it writes `file`. */
async function open(text: string, file: string | undefined): Promise<vscode.TextDocument> {
  if (file === undefined) {
    const document = await vscode.workspace.openTextDocument({ language: LANGUAGE, content: text });
    await vscode.window.showTextDocument(document);
    return document;
  }
  const document = await vscode.workspace.openTextDocument(vscode.Uri.file(file).with({ scheme: 'untitled' }));
  const editor = await vscode.window.showTextDocument(document);
  await editor.edit((edit) => {
    edit.replace(new vscode.Range(0, 0, document.lineCount, 0), text);
  });
  return document;
}
