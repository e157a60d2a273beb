/** The page of the Results view: no address but the extension's own is allowed, and only the one script with the nonce. */

export interface PageParts {
  /** Source of everything that the editor serves to this page. */
  readonly source: string;
  readonly nonce: string;
  readonly script: string;
  readonly style: string;
}

export function page({ source, nonce, script, style }: PageParts): string {
  const policy = [
    "default-src 'none'",
    `img-src ${source} data:`,
    `style-src ${source}`,
    `script-src 'nonce-${nonce}'`,
    `connect-src ${source}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${style}">
<title>Results</title>
</head>
<body>
<div id="announced" role="status" aria-live="polite" class="unseen"></div>
<main id="stage" aria-label="Result"></main>
<section aria-label="History"><ul id="strip" role="listbox" aria-label="Runs, newest first"></ul></section>
<script nonce="${nonce}" src="${script}"></script>
</body>
</html>
`;
}
