/** The workflows that *New Workflow...* offers; each is a file in `templates/`. */

export interface Template {
  readonly file: string;
  readonly title: string;
  readonly detail: string;
}

export const TEMPLATES: readonly Template[] = [
  {
    file: 'text-to-image.dw.json',
    title: 'Text to image',
    detail: 'One prompt, one picture. Stable Diffusion XL.',
  },
  {
    file: 'image-to-image.dw.json',
    title: 'Image to image',
    detail: 'Repaints a picture of yours after a prompt.',
  },
  {
    file: 'prompts.dw.json',
    title: 'A picture for each prompt of a list',
    detail: 'A task gathers the prompts; the next step runs once for each.',
  },
  {
    file: 'draft-and-refine.dw.json',
    title: 'Draft and refine',
    detail: 'Two steps that share one model: a draft, then the same picture repainted with more detail.',
  },
];
