/** The page of the Results view: draws the state that it is sent, and says what was clicked or typed. */
import type {
  ComparisonView,
  EntryAction,
  EntryView,
  FromPage,
  PictureView,
  ResultsState,
  RunningView,
  ToPage,
} from '../results/messages.js';
import { element, type Part } from './element.js';

declare function acquireVsCodeApi(): { postMessage(message: FromPage): void; setState(state: unknown): void };

const editor = acquireVsCodeApi();
const stage = byId('stage');
const strip = byId('strip');
const announced = byId('announced');
let state: ResultsState | undefined;

function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no ${id}`);
  return found;
}

function send(message: FromPage): void {
  editor.postMessage(message);
}

// ---------------------------------------------------------------- the picture

function drawStage(shown: ResultsState): void {
  const entry = shown.entries.find((one) => one.id === shown.selected);
  if (shown.running !== undefined) stage.replaceChildren(running(shown.running));
  else if (shown.comparison !== undefined) stage.replaceChildren(...comparison(shown.comparison));
  else if (entry !== undefined) stage.replaceChildren(result(entry, shown.trusted));
  else stage.replaceChildren(element('p', { class: 'empty' }, [emptyText(shown)]));
}

function emptyText(shown: ResultsState): string {
  return shown.trusted
    ? 'Nothing has been run yet. Open a workflow and press Ctrl+Enter (Cmd+Enter).'
    : 'This workspace is not trusted: workflows are checked, but not run.';
}

function running(view: RunningView): HTMLElement {
  const bar = element('progress', view.share === undefined ? {} : { value: String(view.share), max: '1' });
  bar.setAttribute('aria-label', view.text);
  const picture =
    view.preview === undefined
      ? element('div', { class: 'picture waiting', 'aria-hidden': 'true' })
      : element('img', { class: 'picture', src: view.preview, alt: `Preview: ${view.title}` });
  return element('article', { class: 'result running' }, [
    picture,
    bar,
    element('h2', {}, [view.title]),
    element('p', { class: 'facts' }, [`${view.text}${view.detail === '' ? '' : ` · ${view.detail}`}`]),
    element('div', { class: 'actions' }, [
      button('Cancel', 'End the run', () => {
        send({ type: 'cancel' });
      }),
    ]),
  ]);
}

function result(entry: EntryView, trusted: boolean): HTMLElement {
  return element('article', { class: entry.failed ? 'result failed' : 'result' }, [
    ...pictures(entry),
    element('h2', {}, [entry.title]),
    element('p', { class: 'facts' }, [entry.facts]),
    ...(entry.error === undefined ? [] : [element('p', { class: 'error' }, [entry.error])]),
    actions(entry, trusted),
  ]);
}

function pictures(entry: EntryView): HTMLElement[] {
  if (entry.pictures.length === 0) return [];
  const shown = entry.pictures.map((picture) => pictureOf(picture, entry.pictures.length === 1));
  return [element('div', { class: entry.pictures.length === 1 ? 'one' : 'many' }, shown)];
}

function pictureOf(picture: PictureView, large: boolean): HTMLImageElement {
  const image = element('img', {
    class: large ? 'picture' : 'picture small',
    src: picture.source,
    alt: picture.alternative,
    title: `${picture.name}: drag it out, or copy it`,
    draggable: 'true',
  });
  image.addEventListener('dragstart', (event) => {
    const data = event.dataTransfer;
    if (data === null) return;
    data.effectAllowed = 'copy';
    data.setData('text/uri-list', picture.file);
    data.setData('application/vnd.code.uri-list', JSON.stringify([picture.file]));
    data.setData('DownloadURL', `image/png:${picture.name}:${picture.source}`);
    data.setData('text/plain', picture.file);
  });
  // A picture of 64 pixels is shown in its own squares and not blurred.
  image.addEventListener('load', () => {
    if (image.naturalWidth <= 128) image.classList.add('pixels');
  });
  return image;
}

function actions(entry: EntryView, trusted: boolean): HTMLElement {
  const on = (label: string, title: string, action: EntryAction, index = 0): HTMLElement =>
    button(label, title, () => {
      send({ type: 'entry', action, id: entry.id, index });
    });
  const again = trusted && entry.canRunAgain;
  const first = entry.pictures[0];
  return element('div', { class: 'actions', role: 'toolbar', 'aria-label': 'Actions' }, [
    ...(again ? [on('Run Again', 'The same text, values and seed', 'runSame')] : []),
    ...(again ? [on('New Seed', 'The same text and values with another seed', 'runNew')] : []),
    ...(first === undefined ? [] : [copyButton(first), on('Copy Path', 'Copy the path of the file', 'copyPath')]),
    ...(first === undefined ? [] : [on('Open', 'Open the picture in an editor', 'open')]),
    ...(entry.pictures.length + entry.otherFiles.length === 0 ? [] : [on('Reveal', 'Show it in its folder', 'reveal')]),
    ...entry.otherFiles.map(({ name, index }) => on(name, 'Open the file', 'open', index)),
    ...(entry.canRunAgain ? [on('Workflow', 'Open the text that was run', 'openWorkflow')] : []),
    on('Forget', 'Take it out of the history; the files stay', 'forget'),
  ]);
}

function copyButton(picture: PictureView): HTMLElement {
  return button('Copy', 'Copy the picture', () => {
    void copy(picture);
  });
}

async function copy(picture: PictureView): Promise<void> {
  try {
    const answer = await fetch(picture.source);
    const blob = await answer.blob();
    await navigator.clipboard.write([new ClipboardItem({ [blob.type]: blob })]);
    announce('The picture was copied.');
  } catch (error) {
    send({ type: 'told', text: `the picture could not be copied: ${String(error)}` });
    announce('The picture could not be copied. Copy its path instead.');
  }
}

function button(label: string, title: string, work: () => void): HTMLButtonElement {
  const made = element('button', { type: 'button', title }, [label]);
  made.addEventListener('click', work);
  return made;
}

// ---------------------------------------------------------------- two side by side

function comparison(view: ComparisonView): HTMLElement[] {
  const side = (entry: EntryView, name: string): HTMLElement =>
    element('article', { class: 'side', 'aria-label': name }, [
      ...pictures(entry),
      element('h2', {}, [entry.title]),
      element('p', { class: 'facts' }, [entry.facts]),
    ]);
  return [
    element('div', { class: 'sides' }, [side(view.left, 'Left'), side(view.right, 'Right')]),
    differenceTable(view),
    element('div', { class: 'actions' }, [
      button('End Comparison', 'Show one result again (Escape)', () => {
        send({ type: 'endComparison' });
      }),
    ]),
  ];
}

function differenceTable(view: ComparisonView): HTMLElement {
  if (view.differences.length === 0) {
    return element('p', { class: 'facts' }, ['The two runs had the same workflow, values and seed.']);
  }
  const cell = (text: string | undefined, kind: string): Part =>
    element('td', { class: text === undefined ? 'nothing' : kind }, [text ?? 'nothing']);
  const rows = view.differences.map((difference) =>
    element('tr', {}, [
      element('th', { scope: 'row' }, [difference.place]),
      cell(difference.left, 'before'),
      cell(difference.right, 'after'),
    ]),
  );
  const heads = ['Place', 'Left', 'Right'].map((text) => element('th', { scope: 'col' }, [text]));
  return element('table', {}, [
    element('caption', {}, ['What is different']),
    element('thead', {}, [element('tr', {}, heads)]),
    element('tbody', {}, rows),
  ]);
}

// ---------------------------------------------------------------- the history

function drawStrip(shown: ResultsState): void {
  const hadFocus = strip.contains(document.activeElement);
  strip.replaceChildren(...shown.entries.map((entry) => stripItem(entry, shown)));
  if (hadFocus) selectedItem()?.focus();
}

function stripItem(entry: EntryView, shown: ResultsState): HTMLElement {
  const selected = entry.id === shown.selected;
  const compared = entry.id === shown.comparison?.right.id;
  const picture =
    entry.thumbnail === undefined
      ? element('span', { class: 'no-picture', 'aria-hidden': 'true' }, [entry.failed ? '✕' : '—'])
      : element('img', { src: entry.thumbnail, alt: '', draggable: 'false' });
  const item = element(
    'li',
    {
      role: 'option',
      'data-id': entry.id,
      class: `entry${selected ? ' selected' : ''}${compared ? ' compared' : ''}${entry.failed ? ' failed' : ''}`,
      'aria-selected': String(selected || compared),
      'aria-label': `${entry.title}, ${entry.facts}`,
      title: `${entry.title}\n${entry.facts}\nCtrl+click or C compares it with the shown one.`,
      tabindex: selected ? '0' : '-1',
    },
    [picture, element('span', { class: 'title' }, [entry.title]), element('span', { class: 'facts' }, [entry.facts])],
  );
  item.addEventListener('click', (event) => {
    send({ type: event.ctrlKey || event.metaKey || event.shiftKey ? 'compare' : 'select', id: entry.id });
  });
  return item;
}

function selectedItem(): HTMLElement | null {
  return strip.querySelector('.entry.selected');
}

/** What a key does with the run that has the focus. */
const KEYS: Readonly<Record<string, (id: string) => FromPage>> = {
  Enter: (id) => ({ type: 'select', id }),
  ' ': (id) => ({ type: 'select', id }),
  c: (id) => ({ type: 'compare', id }),
  Delete: (id) => ({ type: 'entry', action: 'forget', id, index: 0 }),
};

strip.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const items = [...strip.querySelectorAll<HTMLElement>('.entry')];
  const at = items.findIndex((item) => item === document.activeElement);
  const target = moved(event.key, at, items.length);
  const id = items[at]?.dataset['id'];
  const message = id === undefined ? undefined : KEYS[event.key]?.(id);
  if (target !== undefined) items[target]?.focus();
  else if (message !== undefined) send(message);
  else return;
  event.preventDefault();
});

document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && state?.comparison !== undefined) send({ type: 'endComparison' });
});

/** The place in the list that a key leads to. */
function moved(key: string, at: number, count: number): number | undefined {
  if (key === 'ArrowRight' || key === 'ArrowDown') return Math.min(count - 1, at + 1);
  if (key === 'ArrowLeft' || key === 'ArrowUp') return Math.max(0, at - 1);
  if (key === 'Home') return 0;
  return key === 'End' ? count - 1 : undefined;
}

// ---------------------------------------------------------------- news

function announce(text: string): void {
  announced.textContent = text;
}

/** Says what a screen reader should hear: beginnings and ends, not every step. */
function announceChange(before: ResultsState | undefined, now: ResultsState): void {
  const newest = now.entries[0];
  if (before?.running === undefined && now.running !== undefined) announce(`Running: ${now.running.title}`);
  else if (before?.running !== undefined && now.running === undefined && newest !== undefined) {
    announce(`${newest.failed ? 'The run did not succeed' : 'The picture is there'}: ${newest.title}, ${newest.facts}`);
  }
}

/** While a run goes on only its picture changes: drawing the rest anew would take the focus and the scroll place. */
function onlyRunningChanged(before: ResultsState, now: ResultsState): boolean {
  return before.running !== undefined && now.running !== undefined && before.entries.length === now.entries.length;
}

window.addEventListener('message', (event: MessageEvent<ToPage>) => {
  const before = state;
  state = event.data.state;
  const steady = before !== undefined && onlyRunningChanged(before, state);
  if (steady && state.running !== undefined && updateRunning(state.running)) return;
  drawStage(state);
  drawStrip(state);
  announceChange(before, state);
});

/** Changes what is drawn of the running picture in its place. Returns whether that was enough. */
function updateRunning(view: RunningView): boolean {
  const image = stage.querySelector<HTMLImageElement>('img.picture');
  const bar = stage.querySelector('progress');
  const facts = stage.querySelector('.facts');
  if (image === null || bar === null || facts === null || view.preview === undefined) return false;
  if (image.src !== view.preview) image.src = view.preview;
  if (view.share === undefined) bar.removeAttribute('value');
  else bar.value = view.share;
  facts.textContent = `${view.text}${view.detail === '' ? '' : ` · ${view.detail}`}`;
  return true;
}

// So that the editor brings the view back after a reload; what it shows comes from the extension.
editor.setState({});
send({ type: 'ready' });
