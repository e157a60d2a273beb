/**
 * Every command of the extension, in one table: registered once for its life; servers come and go behind them.
 */
import * as vscode from 'vscode';

import type { Log } from './log.js';
import { SERVER_COMMANDS, type RunArgument } from './protocol.js';
import type { ResultCommands } from './results/resultCommands.js';
import type { ResultsView } from './results/view.js';
import type { RunCommands } from './runs/runCommands.js';
import type { Runner } from './runs/runner.js';
import type { ServerLifecycle } from './server/lifecycle.js';
import type { WorkflowOpening } from './workflows/opening.js';
import { doctor } from './doctor.js';
import { selectInterpreter } from './server/selecting.js';

export interface Parts {
  readonly extension: vscode.Uri;
  readonly log: Log;
  readonly server: ServerLifecycle;
  readonly runner: Runner;
  readonly runs: RunCommands;
  readonly results: ResultCommands;
  readonly view: ResultsView;
  readonly opening: WorkflowOpening;
}

type Work = (argument?: unknown) => unknown;

export function registerCommands(parts: Parts): vscode.Disposable {
  const table: Readonly<Record<string, Work>> = { ...runTable(parts), ...otherTable(parts) };
  const own = Object.entries(table).map(([id, work]) => vscode.commands.registerCommand(id, work));
  // Code lenses name the server's commands, so that every editor can execute them.
  const passed = SERVER_COMMANDS.map((id) =>
    vscode.commands.registerCommand(id, (argument?: object) =>
      id === 'dw.run' ? parts.runner.run(argument as RunArgument) : parts.runner.ask(id, argument),
    ),
  );
  return vscode.Disposable.from(...own, ...passed);
}

function runTable({ runs }: Parts): Record<string, Work> {
  return {
    'dwLsp.runWorkflow': (argument) => runs.runWorkflow(argument),
    'dwLsp.runToHere': () => runs.runToHere(),
    'dwLsp.runWithArguments': (argument) => runs.runWithArguments(argument),
    'dwLsp.runVariants': (argument) => runs.runVariants(argument),
    'dwLsp.cancelRun': (node) => runs.cancelRun(keyOf(node)),
    'dwLsp.showMemory': () => runs.showMemory(),
    'dwLsp.clearMemory': () => runs.clearMemory(),
    'dwLsp.evict': (component) => runs.evict(component),
    'dwLsp.restartWorker': () => runs.restartWorker(),
  };
}

function otherTable({ extension, log, server, results, view, opening }: Parts): Record<string, Work> {
  return {
    'dwLsp.showResults': () => {
      view.show();
    },
    'dwLsp.openLastResult': () => results.openLastResult(),
    'dwLsp.compareResults': (pair) => results.compareResults(pair),
    'dwLsp.revealOutputFolder': () => results.revealOutputFolder(),
    'dwLsp.clearHistory': () => {
      results.clearHistory();
    },
    'dwLsp.newWorkflow': (template) => opening.newWorkflow(template),
    'dwLsp.openWorkflowOfImage': (image) => opening.openWorkflowOfImage(image),
    'dwLsp.selectInterpreter': () => selectInterpreter('worker'),
    'dwLsp.doctor': () => doctor(extension, server, log),
    'dwLsp.restartServer': () => server.restart(),
    'dwLsp.showLog': () => {
      log.show();
    },
  };
}

/** The run that a node of the Worker view stands for. */
function keyOf(node: unknown): string | undefined {
  const key = typeof node === 'object' && node !== null && 'key' in node ? node.key : undefined;
  return typeof key === 'string' ? key : undefined;
}
