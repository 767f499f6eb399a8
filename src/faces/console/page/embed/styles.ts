/** Colours of groups, light and dark; the last is of all beyond. */
const LIGHT = ['#2a6fb5', '#c2571a', '#2c8757', '#8a4fb0', '#b03a5b', '#5f6b1f', '#8a939c'];
const DARK = ['#6aa9e9', '#e8935a', '#63bf8c', '#bd8ade', '#e07f9b', '#adb85f', '#7d868f'];

const LIGHT_THEME = '--_text:#1d2126;--_muted:#59636e;--_line:#d9dee3;--_background:#fff;color-scheme:light;';
const DARK_THEME =
  '--_text:#e6e9ec;--_muted:#9aa4af;--_line:#363d45;--_background:#15181c;color-scheme:dark;';

const themed = (theme: string, colours: string[]) =>
  theme + colours.map((colour, i) => `--_s${i + 1}:${colour};`).join('');
const ofColours = LIGHT.map((_, i) => {
  const n = i + 1;
  const colour = `var(--tidemark-series-${n},${n === 1 ? `var(--tidemark-accent,var(--_s1))` : `var(--_s${n})`})`;
  return `.s${n}{fill:${colour}}.l${n}{fill:none;stroke:${colour};stroke-width:2}.k${n}{background:${colour}}`;
}).join('');

/** The stylesheet of the element's inside. What a host may set: `--tidemark-…`, and `::part()`. */
export const CSS = `
:host{display:block;box-sizing:border-box;min-width:0;${themed(LIGHT_THEME, LIGHT)}}
:host([hidden]){display:none}
@media (prefers-color-scheme:dark){:host(:not([theme=light])){${themed(DARK_THEME, DARK)}}}
:host([theme=dark]){${themed(DARK_THEME, DARK)}}
figure{margin:0;padding:12px;border:1px solid var(--tidemark-line,var(--_line));border-radius:var(--tidemark-radius,6px);
color:var(--tidemark-text,var(--_text));background:var(--tidemark-background,var(--_background));
font:14px/1.4 var(--tidemark-font,system-ui,sans-serif);font-variant-numeric:tabular-nums;overflow:hidden}
header{display:flex;flex-wrap:wrap;gap:2px 16px;align-items:baseline;justify-content:space-between}
[part=title]{font-weight:600;overflow-wrap:anywhere}
[part=total]{margin:0;overflow-wrap:anywhere}
[part=total] b{font-size:1.25em}
small,[part=message],.tick{color:var(--tidemark-muted,var(--_muted));fill:var(--tidemark-muted,var(--_muted))}
small{font-size:12px}
[part=message]{margin:8px 0}
svg{display:block;max-width:100%;margin:8px 0;overflow:visible}
.tick{font-size:11px}
.grid{stroke:var(--tidemark-line,var(--_line))}
.zero{stroke:var(--tidemark-muted,var(--_muted))}
${ofColours}
[part=legend]{display:flex;flex-wrap:wrap;gap:2px 12px;margin:0 0 8px;padding:0;list-style:none;font-size:12px}
[part=legend] li{overflow-wrap:anywhere}
[part=legend] i{display:inline-block;width:10px;height:10px;margin-right:5px;border-radius:2px}
summary{cursor:pointer;font-size:12px;width:fit-content}
summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--tidemark-accent,var(--_s1));outline-offset:2px}
.scroll{max-height:320px;overflow:auto;margin:6px 0}
table{border-collapse:collapse;width:100%;font-size:13px}
th,td{padding:3px 8px;text-align:left;border-bottom:1px solid var(--tidemark-line,var(--_line));white-space:nowrap}
th{font-weight:600}
tbody th{font-weight:400}
td.number,th.number{text-align:right}
@media (prefers-reduced-motion:no-preference){[aria-busy=true] svg{opacity:.6;transition:opacity .3s .3s}}
`;
