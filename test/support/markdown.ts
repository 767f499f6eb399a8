import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** The root of the repository. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A fenced block of a Markdown file. */
export interface Block {
  /** What stands behind the opening fence: `sql`, `sh`, `text`. */
  language: string;
  code: string;
  /** Of `<!-- test: name -->` on the line before the fence. */
  name?: string;
  /** The text between the block before, or the heading, and this one. */
  before: string;
  /** The line of its opening fence, from 1. */
  line: number;
}

/** @param path from the root. */
export function readMarkdown(path: string): Promise<string> {
  return readFile(`${ROOT}/${path}`, 'utf8');
}

export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let before: string[] = [];
  let open: { language: string; line: number; code: string[] } | undefined;
  for (const [i, line] of markdown.split('\n').entries()) {
    const fence = /^ *```(\S*)/.exec(line);
    if (open && fence) {
      const text = before.join('\n');
      const name = /<!-- test: ([\w -]+) -->\s*$/.exec(text)?.[1];
      blocks.push({
        language: open.language,
        code: open.code.join('\n'),
        ...(name !== undefined && { name }),
        before: text,
        line: open.line,
      });
      open = undefined;
      before = [];
    } else if (open) open.code.push(line);
    else if (fence) open = { language: fence[1]!, line: i + 1, code: [] };
    else if (/^#+ /.test(line)) before = [line];
    else before.push(line);
  }
  if (open) throw new Error(`the block in line ${open.line} has no end`);
  return blocks;
}

/** The block of that name. @throws when there is none, or more than one. */
export function blockNamed(markdown: string, name: string): string {
  const found = blocksOf(markdown).filter((block) => block.name === name);
  if (found.length !== 1) throw new Error(`${found.length} blocks are named ${name}`);
  return found[0]!.code;
}
