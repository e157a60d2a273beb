/**
 * The Worker view as data: state, device, queue, components, outputs. A pure function of what the server has said.
 */
import type { MemoryReport, WorkerState } from '../protocol.js';
import type { CurrentRun, RunRecord } from '../runs/history.js';
import { duration, memoryText, progressText, size } from '../runs/wording.js';
import { bySize } from './memory.js';

export interface TreeNode {
  readonly id: string;
  readonly label: string;
  readonly description?: string;
  readonly tooltip?: string;
  readonly icon: string;
  /** What can be done with it: `component`, `run`, `output`. */
  readonly kind?: string;
  /** The component's key, the run's id. */
  readonly key?: string;
  /** A file that is opened by a click. */
  readonly file?: string;
  readonly children?: readonly TreeNode[];
  readonly open?: boolean;
}

export interface QueuedRun {
  readonly runId: string;
  readonly title: string;
}

export interface WorkerFacts {
  readonly state: WorkerState | undefined;
  readonly memory: MemoryReport | undefined;
  readonly current: CurrentRun | undefined;
  readonly queued: readonly QueuedRun[];
  /** Runs that have ended in this session, newest first. */
  readonly session: readonly RunRecord[];
}

const STATES: Readonly<Record<WorkerState['state'], readonly [icon: string, words: string]>> = {
  stopped: ['circle-outline', 'not started'],
  starting: ['loading~spin', 'starting'],
  idle: ['circle-filled', 'idle'],
  busy: ['sync~spin', 'running'],
  unresponsive: ['warning', 'does not answer'],
  crashed: ['flame', 'crashed'],
};

/** The top of the tree; empty before anything is known of the worker. */
export function workerTree(facts: WorkerFacts): readonly TreeNode[] {
  if (facts.state === undefined) return [];
  return [
    stateNode(facts.state),
    ...(facts.memory === undefined ? [] : [deviceNode(facts.memory)]),
    ...queueNodes(facts),
    ...(facts.memory === undefined ? [] : [componentsNode(facts.memory)]),
    ...outputsNodes(facts.session),
  ];
}

function stateNode(state: WorkerState): TreeNode {
  const [icon, words] = STATES[state.state];
  const details: TreeNode[] = [];
  if (state.python !== undefined) details.push(leaf('python', 'Python', state.python, 'symbol-misc'));
  if (state.pid !== undefined) details.push(leaf('pid', 'Process', String(state.pid), 'server-process'));
  for (const [name, version] of Object.entries(state.versions ?? {})) {
    if (name !== 'python') details.push(leaf(`version:${name}`, name, version, 'package'));
  }
  if (state.exit !== undefined && state.state === 'crashed') {
    details.unshift(leaf('exit', 'Ended', state.exit.reason, 'error'));
  }
  return {
    id: 'state',
    label: 'Worker',
    description: words,
    icon,
    kind: 'worker',
    ...(details.length > 0 && { children: details, open: state.state === 'crashed' }),
  };
}

function deviceNode(memory: MemoryReport): TreeNode {
  const tooltip = memory.warnings.join('\n');
  return {
    id: 'device',
    label: memory.deviceName,
    description: memoryText(memory),
    icon: memory.warnings.length > 0 ? 'warning' : 'chip',
    kind: 'device',
    ...(tooltip !== '' && { tooltip }),
  };
}

function queueNodes({ current, queued }: WorkerFacts): TreeNode[] {
  if (current === undefined && queued.length === 0) return [];
  const running: TreeNode[] =
    current === undefined
      ? []
      : [
          {
            id: `run:${current.started.runId}`,
            label: current.prompt ?? current.started.workflow,
            description: current.progress === undefined ? 'starting' : progressText(current.progress),
            icon: 'sync~spin',
            kind: 'run',
            key: current.started.runId,
          },
        ];
  const waiting = queued.map(({ runId, title }, index): TreeNode => {
    return {
      id: `run:${runId}`,
      label: title,
      description: `waiting, ${index + 1}`,
      icon: 'clock',
      kind: 'run',
      key: runId,
    };
  });
  const children = [...running, ...waiting];
  return [
    { id: 'queue', label: 'Runs', description: String(children.length), icon: 'list-ordered', children, open: true },
  ];
}

function componentsNode(memory: MemoryReport): TreeNode {
  const children = bySize(memory.components).map((component): TreeNode => {
    return {
      id: `component:${component.key}`,
      label: component.name,
      description: `${size(component.bytes)} on ${component.device}`,
      tooltip: `${component.class}\n${component.key}\nloaded in ${duration(component.seconds)}`,
      icon: 'symbol-structure',
      kind: 'component',
      key: component.key,
    };
  });
  const total = memory.components.reduce((sum, component) => sum + component.bytes, 0);
  const description = children.length === 0 ? 'nothing loaded' : `${children.length}, ${size(total)}`;
  return { id: 'components', label: 'Components', description, icon: 'layers', children, open: true };
}

function outputsNodes(session: readonly RunRecord[]): TreeNode[] {
  const children = session.flatMap((record) =>
    record.files.map((file): TreeNode => {
      return {
        id: `output:${file.path}`,
        label: file.path.split(/[/\\]/).at(-1) ?? file.path,
        description: record.prompt ?? record.workflow,
        tooltip: file.path,
        icon: file.contentType.startsWith('image/') ? 'file-media' : 'file',
        kind: 'output',
        file: file.path,
      };
    }),
  );
  if (children.length === 0) return [];
  return [
    { id: 'outputs', label: 'Outputs of this session', description: String(children.length), icon: 'folder', children },
  ];
}

function leaf(id: string, label: string, description: string, icon: string): TreeNode {
  return { id, label, description, icon };
}
