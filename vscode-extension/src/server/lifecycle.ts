/**
 * Owns the one language client: starts it when there is something to do, restarts it one at a time, and says what is
 * wrong when it cannot. Features ask it for the running client and hear of each new one. Knows nothing of runs.
 */
import { existsSync } from 'node:fs';
import * as path from 'node:path';
import * as vscode from 'vscode';
import { State, type LanguageClient } from 'vscode-languageclient/node';

import { messageOf, type Buttons, type Log } from '../log.js';
import type { ServerCommand } from '../protocol.js';
import { withinTime } from '../timeLimit.js';
import { commandLine, createClient, surroundings } from './client.js';
import { showMessagesOf } from './serverMessages.js';
import { Interpreters } from './interpreters.js';
import { OneAtATime } from './oneAtATime.js';
import { ServerProcess, type CommandLine } from './process.js';
import { selectInterpreter } from './selecting.js';
import { WorkerPython } from './workerPython.js';

const START_LIMIT_MILLISECONDS = 20_000;
/** Time for the server to end its worker and itself before it is ended. */
const STOP_LIMIT_MILLISECONDS = 2_500;
/** More deaths than this within the period below, and the server stays down until the user asks for it. */
const MOST_DEATHS = 3;
const DEATHS_PERIOD_MILLISECONDS = 180_000;

/** The server is not there; the user has already been told why. */
export class ServerUnavailable extends Error {}

export class ServerLifecycle implements vscode.Disposable {
  private readonly pythons: Interpreters;
  /** The Python of the worker, and what it lacks. */
  public readonly workerPython: WorkerPython;
  private serverPython: string | undefined;
  private readonly turns = new OneAtATime((forced) => this.turn(forced));
  private readonly connected = new vscode.EventEmitter<LanguageClient>();
  /** A new client is about to start: the time to subscribe to its notifications. */
  public readonly onDidCreateClient = this.connected.event;
  private readonly disconnected = new vscode.EventEmitter<void>();
  /** The server is gone: what it said of runs and memory no longer holds. */
  public readonly onDidStop = this.disconnected.event;
  private client: LanguageClient | undefined;
  private process: ServerProcess | undefined;
  private clientCommand = '';
  private deaths: number[] = [];
  private wanted = false;
  private disposed = false;

  public constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly log: Log,
  ) {
    this.pythons = new Interpreters(log.main);
    this.workerPython = new WorkerPython(this.pythons, context, log);
    context.subscriptions.push(
      this,
      this.pythons,
      this.workerPython,
      this.pythons.onDidChange(() => {
        this.restartIfChanged('another interpreter was chosen');
      }),
      this.workerPython.onDidChange(() => {
        void this.renewWorker();
      }),
      vscode.workspace.onDidGrantWorkspaceTrust(() => {
        this.trusted();
      }),
      vscode.workspace.onDidChangeConfiguration((change) => {
        const names = ['dw.server.python', 'dw.worker.python', 'dw.worker.command'];
        if (names.some((name) => change.affectsConfiguration(name))) {
          this.restartIfChanged('a setting has changed');
        }
      }),
    );
  }

  /** Starts the server unless it runs or has been started and failed; errors have been shown when this resolves. */
  public async ensureStarted(): Promise<void> {
    if (this.wanted) return this.turns.settled();
    this.wanted = true;
    await this.ask(false, 'a workflow was opened');
  }

  /** Ends the server and starts a new one. */
  public async restart(): Promise<void> {
    this.wanted = true;
    this.deaths = [];
    await this.ask(true, 'asked for');
  }

  /** The result of a server command. Throws `ServerUnavailable` when there is no server, else what it answers. */
  public async execute<T>(command: ServerCommand, argument?: object): Promise<T> {
    const client = await this.running();
    const result: unknown = await client.sendRequest('workspace/executeCommand', {
      command,
      arguments: argument === undefined ? [] : [argument],
    });
    return result as T;
  }

  /** The running client. Throws `ServerUnavailable`. */
  public async running(): Promise<LanguageClient> {
    await this.ensureStarted();
    if (this.client?.state !== State.Running) throw new ServerUnavailable('The language server is not running.');
    return this.client;
  }

  /** The Pythons in use; starts the server where it does not run. `undefined`: the user has been told why not. */
  public async interpreters(): Promise<{ readonly server: string; readonly worker: string | undefined } | undefined> {
    await this.ensureStarted();
    const worker = await this.workerPython.current();
    return this.serverPython === undefined ? undefined : { server: this.serverPython, worker: worker?.executable };
  }

  /** Whether the worker's Python has what it needs. Looks again first: it may have been installed meanwhile. */
  public async canRun(): Promise<boolean> {
    const found = await this.workerPython.current();
    if (found === undefined || found.missing.length === 0 || this.serverPython === undefined) return true;
    await this.workerPython.look(this.serverPython);
    return this.workerPython.tell(true);
  }

  /** Has the editor ask for the code lenses again. */
  public async refreshLenses(): Promise<void> {
    const feature = this.client?.getFeature('textDocument/codeLens');
    const editor = vscode.window.activeTextEditor;
    const provider = editor && feature?.getProvider(editor.document);
    provider?.onDidChangeCodeLensEmitter.fire();
    await Promise.resolve();
  }

  /** Ends the server for good. */
  public async shutdown(): Promise<void> {
    this.disposed = true;
    await this.turns.settled();
    await this.stop();
  }

  public dispose(): void {
    this.connected.dispose();
    this.disconnected.dispose();
  }

  private trusted(): void {
    this.restartIfChanged('the workspace is trusted now');
    // The server pulls its settings again, and may now start the worker ahead of a run.
    if (this.client?.state === State.Running) {
      void this.client.sendNotification('workspace/didChangeConfiguration', { settings: null });
    }
  }

  /** The worker's Python is another one: the server hears of it, and the worker starts in it. */
  private async renewWorker(): Promise<void> {
    if (this.client?.state !== State.Running) return;
    this.log.main.info('Worker restart: its Python has changed.');
    try {
      await this.client.sendNotification('workspace/didChangeConfiguration', { settings: null });
      if (!vscode.workspace.isTrusted || !(await this.workerPython.tell())) return;
      await this.execute('dw.restart');
    } catch (error) {
      this.log.main.info(`The worker did not start: ${messageOf(error)}`);
    }
  }

  private restartIfChanged(reason: string): void {
    if (this.wanted) void this.ask(false, reason);
  }

  private async ask(forced: boolean, reason: string): Promise<void> {
    this.log.main.info(`Server ${forced ? 'restart' : 'start'}: ${reason}.`);
    try {
      await this.turns.request(forced);
    } catch (error) {
      this.log.showError(messageOf(error), this.remedies());
    }
  }

  private remedies(): Buttons {
    return {
      'Select Interpreter': () => selectInterpreter('server'),
      'Restart Language Server': () => this.restart(),
    };
  }

  private async turn(forced: boolean): Promise<void> {
    if (this.disposed) return;
    const server = await this.resolve();
    const wantedCommand = JSON.stringify(server);
    if (!forced && this.client?.state === State.Running && wantedCommand === this.clientCommand) {
      this.log.main.info('The server already runs with this command.');
      return;
    }
    await this.stop();
    this.clientCommand = wantedCommand;
    await this.start(server);
  }

  private async resolve(): Promise<CommandLine> {
    const bundle = path.join(this.context.extensionPath, 'bundled');
    if (!existsSync(path.join(bundle, '__main__.py'))) {
      throw new Error(
        `The extension is incomplete: it has no server in ${bundle}. Install it again, or run "npm run bundle-server".`,
      );
    }
    const { executable } = (await this.pythons.forServer()).interpreter;
    this.serverPython = executable;
    // Not waited for here: the server asks for its settings, and that waits.
    void this.workerPython.look(executable).then(() => this.workerPython.tell());
    return commandLine(executable, bundle);
  }

  private async start(server: CommandLine): Promise<void> {
    this.log.main.info(`Starting: ${[server.command, ...server.args].join(' ')}`);
    const began = Date.now();
    const process = new ServerProcess(server, surroundings().workspaceFolder);
    this.process = process;
    const closed = (): void => {
      this.died(client);
    };
    const client = createClient(process, this.log, () => this.workerPython.current(), closed);
    this.connected.fire(client);
    try {
      await withinTime(this.started(client, process), START_LIMIT_MILLISECONDS, 'it did not answer');
    } catch (error) {
      await this.stop();
      throw new Error(`The language server did not start: ${messageOf(error)}.`, { cause: error });
    }
    this.client = client;
    showMessagesOf(client, this.log, () => this.workerPython.current());
    this.log.main.info(`The server runs after ${Date.now() - began} ms.`);
    this.compareVersions(client);
  }

  /** Resolves when the client runs; rejects with what the process said if that ends first. */
  private async started(client: LanguageClient, process: ServerProcess): Promise<void> {
    const ended = process.ended.then((sentence) => {
      throw new Error(sentence);
    });
    // Whichever comes second has nobody waiting for it any more.
    ended.catch(() => undefined);
    const start = client.start();
    start.catch((error: unknown) => {
      this.log.main.info(`The client: ${messageOf(error)}`);
    });
    await Promise.race([start.catch(() => ended), ended]);
  }

  private compareVersions(client: LanguageClient): void {
    const own = (this.context.extension.packageJSON as { version: string }).version;
    const server = client.initializeResult?.serverInfo?.version;
    if (server !== own) {
      this.log.showWarning(`The extension is version ${own}, its server ${server ?? 'unknown'}: install it again.`);
    }
  }

  /** The server ended by itself: once or twice it gets another chance, then the user is asked. */
  private died(client: LanguageClient): void {
    if (client !== this.client || this.disposed) return;
    this.disconnected.fire();
    const now = Date.now();
    this.deaths = [...this.deaths.filter((time) => now - time < DEATHS_PERIOD_MILLISECONDS), now];
    if (this.deaths.length < MOST_DEATHS) {
      void this.ask(true, 'the server has ended unexpectedly');
      return;
    }
    this.log.showError(
      `The language server has ended unexpectedly ${this.deaths.length} times and is not started again.`,
      this.remedies(),
    );
  }

  private async stop(): Promise<void> {
    const { client, process } = this;
    this.client = undefined;
    this.process = undefined;
    if (client !== undefined) {
      this.disconnected.fire();
      try {
        await client.dispose(STOP_LIMIT_MILLISECONDS);
        if (process) await withinTime(process.ended, STOP_LIMIT_MILLISECONDS, 'the server did not end');
      } catch (error) {
        this.log.main.info(`The old client: ${messageOf(error)}`);
      }
    }
    process?.kill();
  }
}
