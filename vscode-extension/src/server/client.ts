/**
 * The language client: how the server is started and what is different from the client's defaults.
 * Knows nothing of runs; whoever wants notifications subscribes to the client it gets.
 */
import { homedir } from 'node:os';
import * as path from 'node:path';
import * as vscode from 'vscode';
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  RevealOutputChannelOn,
  vsdiag,
  type DynamicFeature,
  type LanguageClientOptions,
  type ServerOptions,
  type StaticFeature,
} from 'vscode-languageclient/node';

import type { Log } from '../log.js';
import { expand, forServer, type Surroundings } from '../settings.js';
import { LANGUAGE } from '../workflowDocuments.js';
import { withoutDoubles } from './builtInJson.js';
import type { WorkerInterpreter } from './packages.js';
import type { CommandLine, ServerProcess } from './process.js';

const SCHEMES = ['file', 'untitled'];

/**
 * The client as this extension needs it: it shows no messages of its own, and it registers no editor commands for
 * the server's commands. A second client (restart, second root) would fail with "command ... already exists".
 */
class WorkflowClient extends LanguageClient {
  public override registerFeature(feature: StaticFeature | DynamicFeature<unknown>): void {
    if ('registrationType' in feature && feature.registrationType.method === 'workspace/executeCommand') return;
    super.registerFeature(feature);
  }

  public override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

/** Runs have a notification of their own, with a button to cancel; the client's would come on top, without one. */
const NO_PROGRESS: StaticFeature = {
  fillClientCapabilities: (capabilities) => {
    capabilities.window = { ...capabilities.window, workDoneProgress: false };
  },
  initialize: () => undefined,
  getState: () => ({ kind: 'static' }),
  clear: () => undefined,
};

/**
 * How the bundled server is started. `-S` and `-E` keep the interpreter's own packages (another pygls, another attrs)
 * away; the folder given as the program is the only one that is importable besides the standard library. The
 * environment itself stays as it is, because the worker inherits it.
 */
export function commandLine(executable: string, bundle: string): CommandLine {
  return { command: executable, args: ['-S', '-E', '-X', 'utf8', bundle, 'serve', '--stdio'] };
}

/**
 * A client, not started yet, for a process that is.
 *
 * @param worker the Python of the worker, where no setting names one
 * @param closed called when the connection ends without having been asked to
 */
export function createClient(
  server: ServerProcess,
  log: Log,
  worker: () => Promise<WorkerInterpreter | undefined>,
  closed: () => void,
): LanguageClient {
  const serverOptions: ServerOptions = () => Promise.resolve(server.child);
  const selector = [LANGUAGE, 'json', 'jsonc'].flatMap((language) => SCHEMES.map((scheme) => ({ language, scheme })));
  const clientOptions: LanguageClientOptions = {
    documentSelector: selector,
    diagnosticCollectionName: 'dw',
    outputChannel: log.server,
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    // The lifecycle tells the user why a start failed; the client's own message would come on top of it.
    initializationFailedHandler: () => false,
    errorHandler: {
      error: (error) => {
        log.main.error(`Connection to the server: ${error.message}`);
        return { action: ErrorAction.Continue, handled: true };
      },
      closed: () => {
        closed();
        return { action: CloseAction.DoNotRestart, handled: true };
      },
    },
    middleware: {
      workspace: {
        configuration: async (params, token, next) => {
          const values: unknown = await next(params, token);
          if (!Array.isArray(values)) return [];
          const python = await worker();
          return values.map((value: unknown, index): unknown => {
            const item = params.items[index];
            return item?.section === 'dw' ? sectionForServer(value, item.scopeUri, python) : value;
          });
        },
      },
      provideDiagnostics: async (document, previous, token, next) => {
        const report = await next(document, previous, token);
        if (report?.kind !== vsdiag.DocumentDiagnosticReportKind.full) return report;
        const language = document instanceof vscode.Uri ? languageOf(document) : document.languageId;
        return { ...report, items: withoutDoubles(report.items, language, jsonIsValidated()) };
      },
      handleDiagnostics: (uri, diagnostics, next) => {
        next(uri, withoutDoubles(diagnostics, languageOf(uri), jsonIsValidated()));
      },
      // The lenses can be switched off; every command behind them is in the palette, too.
      provideCodeLenses: (document, token, next) =>
        vscode.workspace.getConfiguration('dw', document.uri).get<boolean>('codeLens.enabled', true)
          ? next(document, token)
          : [],
    },
  };
  const client = new WorkflowClient('dw', 'dw-lsp', serverOptions, clientOptions);
  client.registerFeature(NO_PROGRESS);
  return client;
}

/** The language of an open document; empty for others, which only we look at. */
function languageOf(uri: vscode.Uri): string {
  const open = vscode.workspace.textDocuments.find((document) => document.uri.toString() === uri.toString());
  return open?.languageId ?? '';
}

function jsonIsValidated(): boolean {
  const there = vscode.extensions.getExtension('vscode.json-language-features') !== undefined;
  return there && vscode.workspace.getConfiguration('json').get<boolean>('validate.enable', true);
}

/** What variables in settings stand for, seen from a document or, without one, from the active editor. */
export function surroundings(resource?: vscode.Uri): Surroundings {
  const uri = resource ?? vscode.window.activeTextEditor?.document.uri;
  const folder = (uri && vscode.workspace.getWorkspaceFolder(uri)) ?? vscode.workspace.workspaceFolders?.[0];
  return { home: homedir(), workspaceFolder: folder?.uri.fsPath, environment: process.env };
}

/** A path from the settings with its variables written out; `undefined` when the setting is empty. */
export function pathSetting(name: string, resource?: vscode.Uri): string | undefined {
  const value = vscode.workspace.getConfiguration('dw', resource).get<string>(name, '').trim();
  if (value === '') return undefined;
  const around = surroundings(resource);
  const expanded = expand(value, around);
  const bareName = !/[/\\]/.test(expanded);
  if (bareName || path.isAbsolute(expanded) || around.workspaceFolder === undefined) return expanded;
  return path.join(around.workspaceFolder, expanded);
}

function sectionForServer(section: unknown, scope: string | undefined, python: WorkerInterpreter | undefined): unknown {
  const resource = scope === undefined ? undefined : vscode.Uri.parse(scope);
  return forServer(section, surroundings(resource), vscode.workspace.isTrusted, python);
}
