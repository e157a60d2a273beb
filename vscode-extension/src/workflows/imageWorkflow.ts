/**
 * A picture of ours as a workflow again: what its PNG carries, as the text of a document. Pure functions.
 */
import { isObject, laidOut, memberText } from '../text/jsonc.js';
import { textsOf } from '../text/png.js';

const KEYWORD = 'dw-lsp';

export interface ImageWorkflow {
  readonly text: string;
  /** The step that made the picture. */
  readonly step: string | undefined;
  readonly seed: string | undefined;
  readonly id: string;
}

/** The picture has no workflow in it; the message says so to people. */
export class NoWorkflow extends Error {}

/** The workflow of a PNG. Throws `NoWorkflow` or `NoPng`. */
export function workflowOfImage(data: Buffer): ImageWorkflow {
  const embedded = textsOf(data).get(KEYWORD);
  if (embedded === undefined) throw new NoWorkflow('This picture carries no workflow: it was not made by dw-lsp.');
  const told = parsed(embedded);
  const workflow = memberText(embedded, 'workflow');
  const inside = isObject(told) ? told['workflow'] : undefined;
  if (workflow === undefined || !isObject(inside)) throw new NoWorkflow('This picture carries no workflow.');
  if (!Array.isArray(inside['steps'])) {
    throw new NoWorkflow('Its workflow was too large to put into the picture. It is in manifest.json, beside it.');
  }
  return {
    text: laidOut(workflow),
    step: isObject(told) && typeof told['step'] === 'string' ? told['step'] : undefined,
    // As it is written: a number this large may be more than a double holds.
    seed: memberText(embedded, 'seed'),
    id: typeof inside['id'] === 'string' ? inside['id'] : 'workflow',
  };
}

/** Path of the document that a run's manifest names; `undefined` when it names none. */
export function documentOfManifest(manifest: string): string | undefined {
  const told = parsed(manifest);
  const document = isObject(told) ? told['document'] : undefined;
  return typeof document === 'string' ? document : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
