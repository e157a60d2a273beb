/**
 * Runs as the Results view shows them: words, addresses, what is compared with what. Pure functions; `Addresses` says
 * where the page finds a file.
 */
import type { CurrentRun, ResultFile, RunRecord } from '../runs/history.js';
import { mainPicture, picturesOf } from '../runs/history.js';
import { duration, OUTCOMES, progressShare, progressText, size, timeLeft } from '../runs/wording.js';
import { differences } from './difference.js';
import type { ComparisonView, EntryView, PictureView, ResultsState, RunningView } from './messages.js';

export interface Addresses {
  /** Where the page finds a file; `undefined` for one that is not there any more. */
  readonly inPage: (path: string) => string | undefined;
  /** The address of a file for everybody else. */
  readonly outside: (path: string) => string;
}

/** What is looked at: one run, or two side by side. */
export interface Selection {
  readonly selected: string | undefined;
  readonly compared: string | undefined;
}

export interface Shown {
  readonly current: CurrentRun | undefined;
  readonly records: readonly RunRecord[];
  readonly selection: Selection;
  readonly trusted: boolean;
}

export function resultsState({ current, records, selection, trusted }: Shown, addresses: Addresses): ResultsState {
  const chosen = records.find((record) => record.id === selection.selected) ?? records[0];
  const other = records.find((record) => record.id === selection.compared);
  return {
    running: current && runningView(current),
    entries: records.map((record) => entryView(record, addresses)),
    selected: chosen?.id,
    comparison: chosen && other && chosen !== other ? comparison(chosen, other, addresses) : undefined,
    trusted,
  };
}

function runningView(current: CurrentRun): RunningView {
  const { progress, preview, started } = current;
  const left = progress && timeLeft(progress);
  return {
    title: current.prompt ?? started.workflow,
    text: progress === undefined ? 'starting' : progressText(progress),
    share: progress && progressShare(progress),
    preview: preview && `data:${preview.contentType};base64,${preview.data}`,
    detail: [started.workflow, left].filter((part) => part !== undefined).join(' · '),
  };
}

export function entryView(record: RunRecord, addresses: Addresses): EntryView {
  const main = mainPicture(record);
  const others = record.files.map((file, index) => ({ name: `${file.step}: ${nameOf(file.path)}`, index, file }));
  return {
    id: record.id,
    title: record.prompt ?? record.workflow,
    facts: factsOf(record),
    failed: record.outcome !== 'succeeded',
    error: record.error,
    thumbnail: main && addresses.inPage(main.path),
    pictures: picturesOf(record).flatMap((file) => pictureView(record, file, addresses)),
    otherFiles: others
      .filter(({ file }) => !file.contentType.startsWith('image/'))
      .map(({ name, index }) => ({ name, index })),
    canRunAgain: record.text !== undefined,
  };
}

/** `seed 7 · 0.4 s · peak 3.1 GB`, and how it ended if not well. */
export function factsOf(record: RunRecord): string {
  return [
    record.outcome === 'succeeded' ? undefined : OUTCOMES[record.outcome],
    record.seed === null ? undefined : `seed ${record.seed}`,
    duration(record.seconds),
    record.peakBytes === null ? undefined : `peak ${size(record.peakBytes)}`,
    record.steps.length > 0 && record.steps.every((step) => step.outcome === 'reused') ? 'reused' : undefined,
  ]
    .filter((part) => part !== undefined)
    .join(' · ');
}

function pictureView(record: RunRecord, file: ResultFile, addresses: Addresses): PictureView[] {
  const source = addresses.inPage(file.path);
  if (source === undefined) return [];
  const what = record.prompt ?? record.workflow;
  const place = file.width === undefined ? '' : `, ${file.width} by ${file.height ?? '?'} pixels`;
  return [
    {
      source,
      file: addresses.outside(file.path),
      name: nameOf(file.path),
      alternative: `Result of step ${file.step}${place}: ${what}`,
    },
  ];
}

function comparison(left: RunRecord, right: RunRecord, addresses: Addresses): ComparisonView {
  return {
    left: entryView(left, addresses),
    right: entryView(right, addresses),
    differences:
      left.text === undefined || right.text === undefined
        ? []
        : differences({ ...left, text: left.text }, { ...right, text: right.text }),
  };
}

function nameOf(path: string): string {
  return path.split(/[/\\]/).at(-1) ?? path;
}
