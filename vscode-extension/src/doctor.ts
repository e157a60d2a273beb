/**
 * *Doctor*: the server's own examination of Python, torch, device and models, in the output channel.
 */
import { execFile } from 'node:child_process';
import * as path from 'node:path';
import * as vscode from 'vscode';

import type { Log } from './log.js';
import type { ServerLifecycle } from './server/lifecycle.js';

/** It starts a worker, which imports torch from a disk that may be slow. */
const TIME_LIMIT_MILLISECONDS = 240_000;

export interface Diagnosis {
  readonly well: boolean;
  readonly text: string;
}

/** Examines, and shows what was found. */
export async function doctor(extension: vscode.Uri, server: ServerLifecycle, log: Log): Promise<Diagnosis | undefined> {
  if (!vscode.workspace.isTrusted) {
    log.showWarning('The examination starts programs, which needs a trusted workspace.');
    return undefined;
  }
  const found = await server.interpreters();
  if (found === undefined) return undefined;
  const options = { location: vscode.ProgressLocation.Notification, title: 'Examining Python, libraries and device' };
  const diagnosis = await vscode.window.withProgress(options, () =>
    examine(found.server, found.worker, path.join(extension.fsPath, 'bundled')),
  );
  for (const line of diagnosis.text.split('\n')) log.main.info(line);
  log.show();
  void tell(diagnosis, log);
  return diagnosis;
}

async function tell(diagnosis: Diagnosis, log: Log): Promise<void> {
  if (diagnosis.well) await vscode.window.showInformationMessage('Doctor: all is well. The details are in the log.');
  else log.showWarning('Doctor: something will not work. The log names each remedy.');
}

function examine(server: string, worker: string | undefined, bundle: string): Promise<Diagnosis> {
  const environment = { ...process.env, ...(worker !== undefined && { DW_WORKER_PYTHON: worker }) };
  const args = ['-S', '-E', '-X', 'utf8', bundle, 'doctor'];
  return new Promise((resolve) => {
    const options = { env: environment, timeout: TIME_LIMIT_MILLISECONDS, windowsHide: true };
    execFile(server, args, options, (error, stdout, stderr) => {
      const text = [stdout.trim(), stderr.trim()].filter((part) => part !== '').join('\n');
      const failed = `The examination did not end well: ${error?.message ?? 'it said nothing'}`;
      resolve({ well: error === null, text: text === '' ? failed : text });
    });
  });
}
