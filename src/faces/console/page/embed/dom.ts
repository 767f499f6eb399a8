const SVG = 'http://www.w3.org/2000/svg';

type Child = Node | string;

/** An element of HTML with attributes and children: a text is only ever a text. */
export function html(
  name: string,
  attributes: Record<string, string> = {},
  ...children: Child[]
): HTMLElement {
  return filled(document.createElement(name), attributes, children);
}

/** The same of SVG. */
export function svg(
  name: string,
  attributes: Record<string, string | number> = {},
  ...children: Child[]
): SVGElement {
  return filled(document.createElementNS(SVG, name) as SVGElement, attributes, children);
}

function filled<Made extends Element>(
  made: Made,
  attributes: Record<string, string | number>,
  children: Child[],
): Made {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}
