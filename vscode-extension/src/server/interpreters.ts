/**
 * Which Pythons there are and which are used: one runs the server, one the worker. Asks settings, the editor and the
 * disk; says in the log what was chosen and why.
 */
import * as vscode from 'vscode';

import { messageOf } from '../log.js';
import { pathSetting } from './client.js';
import { EditorPython } from './editorPython.js';
import { lookInto, type WorkerInterpreter } from './packages.js';
import { probe } from './probe.js';
import {
  candidatesOf,
  resolveInterpreter,
  workerCandidatesOf,
  type Candidate,
  type Proposals,
  type Resolved,
} from './resolve.js';

export class Interpreters implements vscode.Disposable {
  private readonly editor: EditorPython;
  /** Another interpreter may have been chosen in the editor. */
  public readonly onDidChange: vscode.Event<void>;

  public constructor(private readonly log: vscode.LogOutputChannel) {
    this.editor = new EditorPython(log);
    this.onDidChange = this.editor.onDidChange;
  }

  /** The Python that runs the server. Throws `NoInterpreter`. */
  public async forServer(): Promise<Resolved> {
    const resolved = await resolveInterpreter(candidatesOf(await this.proposals()), probe);
    for (const reason of resolved.rejected) this.log.info(`Interpreter not taken: ${reason}.`);
    const { executable, version } = resolved.interpreter;
    this.log.info(`Interpreter: ${executable}, Python ${version.join('.')} (${resolved.source}).`);
    return resolved;
  }

  /**
   * The Python that runs the worker: the one that is set, else the first that has the libraries, else the first that
   * runs at all. `undefined` when the settings name a whole command, or when there is none.
   *
   * @param server the one that runs the server, the last that is looked at
   */
  public async forWorker(server: string): Promise<WorkerInterpreter | undefined> {
    const command = vscode.workspace.getConfiguration('dw').get<unknown[]>('worker.command', []);
    if (command.length > 0) {
      this.log.info(`Worker: the command of dw.worker.command, ${command.map(String).join(' ')}.`);
      return undefined;
    }
    let fallback: { found: WorkerInterpreter; source: string } | undefined;
    for (const candidate of workerCandidatesOf(await this.proposals(), server)) {
      const found = await this.look(candidate);
      if (found === undefined) continue;
      if (found.missing.length === 0 || candidate.demanded === true) return this.taken(found, candidate.source);
      this.log.info(
        `Worker's Python not taken: ${found.executable} (${candidate.source}): lacks ${found.missing.join(', ')}.`,
      );
      fallback ??= { found, source: candidate.source };
    }
    return fallback && this.taken(fallback.found, fallback.source);
  }

  public dispose(): void {
    this.editor.dispose();
  }

  private taken(found: WorkerInterpreter, source: string): WorkerInterpreter {
    const lacks = found.missing.length > 0 ? `; it lacks ${found.missing.join(', ')}` : '';
    this.log.info(`Worker's Python: ${found.executable}, Python ${found.version} (${source})${lacks}.`);
    return found;
  }

  private async look(candidate: Candidate): Promise<WorkerInterpreter | undefined> {
    try {
      const { executable } = await probe(candidate.path);
      return await lookInto(executable);
    } catch (error) {
      this.log.info(`Worker's Python not taken: ${candidate.path} (${candidate.source}): ${messageOf(error)}.`);
      return undefined;
    }
  }

  private async proposals(): Promise<Proposals> {
    const resource = vscode.window.activeTextEditor?.document.uri;
    const serverSetting = pathSetting('server.python', resource);
    const workerSetting = pathSetting('worker.python', resource);
    const editor = await this.editor.chosen(resource);
    return {
      ...(serverSetting !== undefined && { serverSetting }),
      ...(workerSetting !== undefined && { workerSetting }),
      ...(editor !== undefined && { editor }),
      workspaceFolders: foldersFrom(resource),
      trusted: vscode.workspace.isTrusted,
      windows: process.platform === 'win32',
    };
  }
}

/** The folders of the workspace, that of the document first: no folder decides for the others. */
function foldersFrom(resource: vscode.Uri | undefined): string[] {
  const own = resource && vscode.workspace.getWorkspaceFolder(resource)?.uri.fsPath;
  const all = (vscode.workspace.workspaceFolders ?? []).map((folder) => folder.uri.fsPath);
  return [...new Set([...(own === undefined ? [] : [own]), ...all])];
}
