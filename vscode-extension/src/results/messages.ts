/**
 * What the extension and the page of the Results view say to each other. Everything is ready to be shown: the page
 * knows no runs, only what to draw.
 */
import type { Difference } from './difference.js';

export interface PictureView {
  /** Address within the page. */
  readonly source: string;
  /** Address for what it is dragged onto. */
  readonly file: string;
  readonly name: string;
  readonly alternative: string;
}

export interface EntryView {
  readonly id: string;
  readonly title: string;
  readonly facts: string;
  readonly failed: boolean;
  readonly error: string | undefined;
  readonly thumbnail: string | undefined;
  readonly pictures: readonly PictureView[];
  readonly otherFiles: readonly { readonly name: string; readonly index: number }[];
  readonly canRunAgain: boolean;
}

export interface RunningView {
  readonly title: string;
  readonly text: string;
  /** 0 to 1; `undefined` when it is not known. */
  readonly share: number | undefined;
  readonly preview: string | undefined;
  readonly detail: string;
}

export interface ComparisonView {
  readonly left: EntryView;
  readonly right: EntryView;
  readonly differences: readonly Difference[];
}

export interface ResultsState {
  readonly running: RunningView | undefined;
  readonly entries: readonly EntryView[];
  readonly selected: string | undefined;
  readonly comparison: ComparisonView | undefined;
  readonly trusted: boolean;
}

/** What a button does with the entry that it belongs to. */
export type EntryAction = 'runSame' | 'runNew' | 'open' | 'reveal' | 'copyPath' | 'openWorkflow' | 'forget';

export interface ToPage {
  readonly type: 'state';
  readonly state: ResultsState;
}

export type FromPage =
  | { readonly type: 'ready' }
  | { readonly type: 'select'; readonly id: string }
  | { readonly type: 'compare'; readonly id: string }
  | { readonly type: 'endComparison' }
  | { readonly type: 'cancel' }
  | { readonly type: 'entry'; readonly action: EntryAction; readonly id: string; readonly index: number }
  | { readonly type: 'told'; readonly text: string };
