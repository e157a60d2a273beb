/**
 * Which documents may be workflows: a cheap guess that decides when the server starts and which buttons are shown.
 * The server alone decides what is one; a wrong guess costs a process or a button, never a wrong finding.
 */

export const LANGUAGE = 'dw-workflow';
const JSON_LANGUAGES = new Set(['json', 'jsonc']);
const NAME = /\.dw\.jsonc?$/;
const STEPS = /"steps"\s*:\s*\[/;
const STEP_KIND = /"(pipeline|pipeline_reference|task|workflow)"\s*:/;

/** The part of `vscode.TextDocument` that is needed here. */
export interface TextDocument {
  readonly languageId: string;
  readonly fileName: string;
  getText(): string;
}

/** Whether the document is a workflow by its language or name, or JSON that looks like one. */
export function mayBeWorkflow(document: TextDocument): boolean {
  if (document.languageId === LANGUAGE || NAME.test(document.fileName)) return true;
  if (!JSON_LANGUAGES.has(document.languageId)) return false;
  const text = document.getText();
  return STEPS.test(text) && STEP_KIND.test(text);
}
